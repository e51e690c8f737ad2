"""The commands of the pages that are about a deployed pair, run on one as they stand there."""

import re
import shlex
from typing import NoReturn

import pytest

from tests.nodes.local_pair import Project, Run
from tests.printed import PAGES, scripts, sessions

ABOUT_A_PAIR = re.compile(r"nixl-efa (?:status|verify|connect|nodes|policy) ")
TOLD = sorted(
    {
        command.partition(" > ")[0]
        for page in (path.read_text(encoding="utf-8") for path in PAGES)
        for command in [*scripts(page), *sessions(page)]
        if ABOUT_A_PAIR.match(command)
    }
)


class OpenedError(Exception):
    """A session would be in the place of this process now."""


@pytest.fixture
def whole(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pair with what its commands look for on this machine."""
    project.command("session-manager-plugin", "echo 1.2.700.0")

    def opened(*_: object) -> NoReturn:
        raise OpenedError

    monkeypatch.setattr("os.execvpe", opened)
    monkeypatch.setenv("NIXL_EFA_TRACEBACK", "1")


@pytest.mark.usefixtures("whole")
def test_each_does_what_it_says(run: Run) -> None:
    assert len(TOLD) > 6
    ended = {}
    for command in TOLD:
        try:
            code, out, err = run(*shlex.split(command)[1:])
        except OpenedError:
            code, out, err = 0, "", ""
        ended[command] = (code, "" if code == 0 else (out + err)[-600:])
    assert {command: said for command, (code, said) in ended.items() if code} == {}
