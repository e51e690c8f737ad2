"""A directory of environments made of texts, and what loading it gives."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from nixl_efa.settings import Loaded, load

Load = Callable[..., Loaded]
Said = Callable[..., list[str]]
P5 = 'instance_type = "p5.48xlarge"\n'
G7E = 'instance_type = "g7e.12xlarge"\n'
DEV = "environments/dev.toml"
RESERVED = 'capacity_reservation_id = "cr-01234567"\n'
# Said of the file DEV.
NO_RESERVATION = (
    f"WARN dev: use_capacity_block = true ({DEV}: use_capacity_block) without a reservation: AWS refuses such a "
    "launch. Set capacity_reservation_id or capacity_reservation_parameter."
)
# As prod's of this project.
BLOCK = """
instance_type = "p5.48xlarge"
use_capacity_block = true
capacity_reservation_parameter = "/nixl-efa/capacity-reservation-id"
availability_zone_parameter = "/nixl-efa/prod/availability-zone"
"""


@pytest.fixture
def load_texts(tmp_path: Path) -> Load:
    """load(), given the files as texts by the environment's name."""

    def load_them(
        files: Mapping[str, str],
        environ: Mapping[str, str] | None = None,
        context: Mapping[str, object] | None = None,
        only: Sequence[str] = (),
    ) -> Loaded:
        directory = tmp_path / "environments"
        directory.mkdir(exist_ok=True)
        for name, text in files.items():
            (directory / f"{name}.toml").write_text(text, encoding="utf-8")
        return load(directory, environ or {}, context or {}, only)

    return load_them


@pytest.fixture
def said(load_texts: Load) -> Said:
    """All that loading such texts says, each finding as its level and its line."""
    return lambda *sources: lines(load_texts(*sources))


def lines(loaded: Loaded) -> list[str]:
    """The findings as lines of text."""
    return [f"{one.level.value} {one.line()}" for one in loaded.findings]
