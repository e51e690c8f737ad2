"""The built wheels, installed into an empty environment and used from a folder that knows nothing of the checkout."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from local_aws import LocalAws
from nixl_efa import __version__
from tests.printed import blocks

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("nixl_efa", "constructs_lib", "stacks", "local_aws")
# What belongs to building, and no code reads.
NOT_SHIPPED = ("local_aws/pyproject.toml",)
SECONDS = 300
(OWN_STACK,) = (
    block.text for block in blocks((ROOT / "docs" / "package.md").read_text(encoding="utf-8"), "python")
)

WITHOUT_A_LIBRARY = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import constructs_lib.node_pair"


def sources() -> list[str]:
    """The files of the packages in the checkout, those that are not added yet too, as paths with /."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *PACKAGES]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for path in listed.splitlines() if path not in NOT_SHIPPED and (ROOT / path).exists()]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels by their packages' names, built from a copy: building writes beside the sources."""
    copy = tmp_path_factory.mktemp("checkout")
    for path in [*sources(), "pyproject.toml", "local_aws/pyproject.toml", "README.md", "LICENSE"]:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, copy / path)
    built = copy / "wheels"
    # pipenv brings setuptools, so that nothing is downloaded.
    pip(
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(built),
        ".",
        "./local_aws",
        folder=copy,
    )
    return {path.name.partition("-")[0]: path for path in built.glob("*.whl")}


def pip(*arguments: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, env=plain(), check=False
    )
    assert done.returncode == 0, done.stderr


def plain(**more: str) -> dict[str, str]:
    """This machine's environment without what leads to the checkout."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "AWS_", "NIXL_EFA", "CDKTF")) and name != "VIRTUAL_ENV"
    }
    return {**inherited, **more}


@pytest.fixture(scope="module")
def empty(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment of its own, in a path with a space: the product and cdktf."""
    folder = tmp_path_factory.mktemp("an environment")
    lock = json.loads((ROOT / "Pipfile.lock").read_text(encoding="utf-8"))["default"]
    versions = folder / "versions.txt"
    versions.write_text(
        "".join(f"{name}{one['version']}\n" for name, one in lock.items() if "version" in one),
        encoding="utf-8",
    )
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(folder / "env")],
        check=True, capture_output=True, env=plain(), timeout=SECONDS,
    )  # fmt: skip
    programs = folder / "env" / "bin"
    pip(
        *("--python", str(programs / "python"), "install", "--no-compile", "--constraint", str(versions)),
        f"{wheels['nixl_efa']}[cdktf]",
        folder=folder,
    )
    return programs


def run(program: Path, *arguments: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), *arguments], cwd=folder, capture_output=True, text=True, timeout=SECONDS,
        env=plain(**environ), check=False,
    )  # fmt: skip


def test_the_wheels_hold_every_file_of_their_packages_as_the_checkout_has_it(wheels: dict[str, Path]) -> None:
    held = {}
    for wheel in wheels.values():
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if ".dist-info/" not in name]
            held.update({name: archive.read(name) for name in names})
    assert held == {path: (ROOT / path).read_bytes() for path in sources()}
    for package in PACKAGES:
        assert f"{package}/py.typed" in held


def test_the_command_runs_where_the_wheel_is_installed(empty: Path, tmp_path: Path) -> None:
    ended = run(empty / "nixl-efa", "--version", folder=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"nixl-efa {__version__}\n", "")
    types = run(empty / "nixl-efa", "instance-types", "show", "p5.48xlarge", folder=tmp_path)
    assert types.returncode == 0, types.stderr
    assert "3200" in types.stdout


def test_an_app_of_the_user_s_own_synthesizes_a_pair_from_another_folder(empty: Path, tmp_path: Path) -> None:
    """Without a warning: the bindings are loaded the fast way there, too."""
    (tmp_path / "app.py").write_text(OWN_STACK, encoding="utf-8")
    ended = run(empty / "python", "-W", "error", "app.py", folder=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    text = (tmp_path / "cdktf.out" / "stacks" / "inference" / "cdk.tf.json").read_text(encoding="utf-8")
    assert set(json.loads(text)["resource"]["aws_instance"]) == {"producer", "consumer"}
    assert str(ROOT) not in text


@pytest.fixture
def project(empty: Path, tmp_path: Path) -> Path:
    """The project that `nixl-efa init` begins, with the environment dev of the checkout."""
    folder = tmp_path / "a project"
    folder.mkdir()
    made = run(
        empty / "nixl-efa", "init", "dev", "--instance-type", "g7e.8xlarge", "--region", "us-east-2",
        folder=folder,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    return folder


def test_the_commands_work_in_a_project_of_the_user_s_own(empty: Path, project: Path) -> None:
    """check looks at the machine, the settings and the account; cdktf runs the user's app."""
    with LocalAws() as aws:
        path = f"{empty}:{os.environ['PATH']}"
        environ = {**aws.environ("us-east-2"), "CHECKPOINT_DISABLE": "1", "PATH": path}
        looked = run(
            empty / "nixl-efa", "--project", str(project), "check", "dev", "--brief",
            folder=project.parent, **environ,
        )  # fmt: skip
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert "PASS" in looked.stdout
    synthesized = run(
        ROOT / "node_modules" / ".bin" / "cdktf", "synth", folder=project,
        PATH=f"{empty}:{os.environ['PATH']}", CHECKPOINT_DISABLE="1", CI="true",
    )  # fmt: skip
    assert synthesized.returncode == 0, synthesized.stdout + synthesized.stderr
    theirs = project / "cdktf.out" / "stacks" / "nixl-efa-dev" / "cdk.tf.json"
    assert theirs.read_bytes() == (stack_of_the_checkout(project.parent)).read_bytes()


def stack_of_the_checkout(folder: Path) -> Path:
    ended = run(
        Path(sys.executable), str(ROOT / "main.py"), folder=folder,
        NIXL_EFA_ENVIRONMENTS="dev", CDKTF_OUTDIR=str(folder / "ours"), PYTHONPATH=str(ROOT),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return folder / "ours" / "stacks" / "nixl-efa-dev" / "cdk.tf.json"


@pytest.mark.parametrize(
    "command", [("rehearse", "dev"), ("local-aws", "--port", "0")], ids=lambda one: one[0]
)
def test_what_belongs_to_an_extra_says_so_in_one_line(
    command: tuple[str, ...], empty: Path, project: Path
) -> None:
    ended = run(empty / "nixl-efa", *command, folder=project)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "nixl-efa-local-aws" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_the_extra_for_rehearsals_is_the_other_wheel(wheels: dict[str, Path]) -> None:
    with zipfile.ZipFile(wheels["nixl_efa"]) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        described = archive.read(metadata).decode()
    assert 'Requires-Dist: nixl-efa-local-aws<2,>=1.0; extra == "rehearse"' in described
    assert wheels["nixl_efa_local_aws"].name.startswith("nixl_efa_local_aws-1.0")


def test_constructs_without_their_library_say_which_extra_brings_it(tmp_path: Path) -> None:
    """In an environment without packages, and nowhere near the bindings' own words."""
    ended = run(Path(sys.executable), "-I", "-S", "-c", WITHOUT_A_LIBRARY, folder=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: cdktf is not installed: the constructs need the package's extra of that name "
        "(docs/package.md)"
    )
