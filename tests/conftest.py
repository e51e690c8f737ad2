"""For all tests: the bindings are loaded the fast way, and no test reads the machine's own settings or account."""

from __future__ import annotations

import os

import pytest

import constructs_lib  # noqa: F401  (before cdktf: see its docstring)

FOREIGN = ("AWS_", "NIXL_EFA_", "CDKTF_", "TF_VAR_")


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            monkeypatch.delenv(name)
