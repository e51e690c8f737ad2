"""One environment synthesized alone, by a cdktf that removes every stack that it does not make, as the real one."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from nixl_efa.synthesis import synthesize_alone


@pytest.mark.parametrize(("code", "written"), [(0, "new"), (1, "old")])
def test_the_folders_of_the_other_environments_stay(tmp_path: Path, code: int, written: str) -> None:
    stacks = tmp_path / "cdktf.out" / "stacks"
    for name in ("nixl-efa-dev", "nixl-efa-prod"):
        (stacks / name / ".terraform").mkdir(parents=True)
        (stacks / name / ".terraform" / "terraform.tfstate").write_text(
            f"backend of {name}", encoding="utf-8"
        )
        (stacks / name / "cdk.tf.json").write_text("old", encoding="utf-8")
        (stacks / name / ".terraform.lock.hcl").write_text("old", encoding="utf-8")
    seen = []

    def cdktf(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> tuple[int, str, str]:
        output = command[command.index("--output") + 1] if "--output" in command else "cdktf.out"
        made = folder / output / "stacks" / "nixl-efa-dev"
        # Local states are told by the folder above the output.
        assert (folder / output).parent == tmp_path
        seen.append((made / ".terraform" / "terraform.tfstate").read_text(encoding="utf-8"))
        (made / "cdk.tf.json").write_text("new", encoding="utf-8")
        assert (made / ".terraform.lock.hcl").read_text(encoding="utf-8") == "old"
        (made / ".terraform.lock.hcl").write_text("new", encoding="utf-8")
        for other in made.parent.iterdir():
            if other != made:
                shutil.rmtree(other)
        return code, "said", ""

    assert synthesize_alone("cdktf", "nixl-efa-dev", tmp_path, {}, cdktf) == (code, "said", "")
    assert seen == ["backend of nixl-efa-dev"]
    for name in ("cdk.tf.json", ".terraform.lock.hcl"):
        assert (stacks / "nixl-efa-prod" / name).read_text(encoding="utf-8") == "old"
        assert (stacks / "nixl-efa-dev" / name).read_text(encoding="utf-8") == written
    assert [one.name for one in tmp_path.iterdir()] == ["cdktf.out"]


def test_the_first_synthesis_makes_the_folder(tmp_path: Path) -> None:
    def cdktf(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> tuple[int, str, str]:
        made = folder / command[-1] / "stacks" / "nixl-efa-dev"
        made.mkdir(parents=True)
        (made / "cdk.tf.json").write_text("new", encoding="utf-8")
        return 0, "", ""

    synthesize_alone("cdktf", "nixl-efa-dev", tmp_path, {}, cdktf)
    assert (tmp_path / "cdktf.out/stacks/nixl-efa-dev/cdk.tf.json").read_text(encoding="utf-8") == "new"
