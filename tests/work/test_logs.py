"""The shell lines of logs, run by bash over programs and files of the test."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from nixl_efa.work import logs


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("names", [logs.NAMES, *((name,) for name in logs.NAMES)])
def test_each_log_and_all_of_them_are_a_line_that_bash_takes(names: tuple[str, ...], follow: bool) -> None:
    line = logs.command(names, 5, follow=follow)
    subprocess.run(["bash", "-n", "-c", line], check=True)
    assert "\n" not in line


def test_a_log_that_is_named_twice_is_printed_once() -> None:
    assert logs.command(["boot", "boot"], 5, follow=False) == logs.command(["boot"], 5, follow=False)


def test_lines_begin_with_their_logs_name_where_there_are_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    log.write_text("noise\ninstall-nixl: done (3 s)\nlast\n")
    changed = [
        logs.Source(one.name, one.what, str(log) if one.file else "", one.unit, one.lines)
        for one in logs.SOURCES
    ]
    monkeypatch.setattr(logs, "SOURCES", changed)
    ran = subprocess.run(
        ["bash", "-c", logs.command(["cloud-init", "nixl"], 1, follow=False)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "cloud-init: last\nnixl: install-nixl: done (3 s)\n"
