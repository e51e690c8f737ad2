"""Which version of the AWS provider a stack takes, and that its lock outlives cdktf.out."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from nixl_efa import provider_lock
from nixl_efa.provider_version import DEFAULT, parse, takes
from nixl_efa.rehearse.plugin_mirror import terraform_environ
from nixl_efa.settings import Settings
from tests.test_main import ROOT, run_main

DEV = Settings(name="dev", instance_type="g7e.8xlarge")
HOSTS = ("registry.terraform.io", "registry.opentofu.org")


def lock(version: str, constraints: str = DEFAULT, host: str = HOSTS[0]) -> str:
    """A lock file as Terraform writes it."""
    return (
        '# This file is maintained automatically by "terraform init".\n\n'
        'provider "registry.terraform.io/hashicorp/null" {\n  version = "3.2.4"\n  constraints = "~> 3.2"\n}\n\n'
        f'provider "{host}/hashicorp/aws" {{\n  version     = "{version}"\n  constraints = "{constraints}"\n'
        '  hashes = [\n    "h1:abc=",\n  ]\n}\n'
    )


@pytest.mark.parametrize(
    ("constraint", "taken", "left_out"),
    [
        (DEFAULT, ("5.100.0", "6.0.0", "6.99.1"), ("5.99.1", "7.0.0")),
        ("~> 6.20", ("6.20.0", "6.57.1"), ("6.19.9", "7.0.0")),
        ("~> 6.20.1", ("6.20.1", "6.20.9"), ("6.21.0", "6.20.0")),
        ("6.1", ("6.1.0",), ("6.1.1", "6.1.0-beta1", "latest")),
        (">= 6, < 7, != 6.57.0", ("6.56.0", "6.57.1"), ("6.57.0", "5.100.0")),
        ("<= 6.9.9, > 5.100.0", ("5.100.1", "6.9.9"), ("5.100.0", "6.10.0")),
    ],
)
def test_a_constraint_takes_what_terraform_takes(
    constraint: str, taken: tuple[str, ...], left_out: tuple[str, ...]
) -> None:
    assert [one for one in (*taken, *left_out) if takes(constraint, one)] == list(taken)


@pytest.mark.parametrize(
    ("constraint", "why"),
    [
        ("latest", "must be a constraint as Terraform writes it"),
        ("", "must be a constraint"),
        (">= 6.0.0,\n< 7", "must be a constraint"),
        ("~> 6", 'write "~> 6.0"'),
        (">= 5.100.0", "must exclude the versions before 5.100.0 and those from 7.0.0 on"),
        (">= 5.99, < 7.0.0", "must exclude"),
        (">= 5.100, <= 7.0.0", "must exclude"),
        ("!= 6.0.0", "must exclude"),
        ("> 6.1.0, < 6.1.1", "matches no version"),
        ("< 7.0.0, >= 5.100.0", "must begin with a version that it takes"),
        ("> 5.100.0, <= 6.9.9", "must begin with a version that it takes"),
        ("!= 6.57.0, >= 6, < 7", "must begin with a version that it takes"),
        ("= 6.1.0, = 6.1.1", "matches no version"),
    ],
)
def test_a_constraint_that_is_none_or_goes_beyond_what_the_stacks_know_is_refused(
    constraint: str, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        parse(constraint)


@pytest.mark.parametrize("host", HOSTS)
def test_the_version_of_the_aws_provider_is_read_from_a_lock_of_either_registry(host: str) -> None:
    assert provider_lock.locked(lock("6.20.0", host=host)) == "6.20.0"


@pytest.mark.parametrize(
    "text", ["", "a lock", 'provider "registry.terraform.io/hashicorp/null" {\n  version = "1"\n}\n']
)
def test_another_text_locks_nothing(text: str) -> None:
    assert provider_lock.locked(text) == ""


def put(path: Path, version: str, constraints: str = DEFAULT) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(lock(version, constraints), encoding="utf-8")


def places(root: Path) -> provider_lock.Places:
    """Those of dev below a folder, as main.py has them."""
    return provider_lock.places(DEV, root, root / "cdktf.out/stacks/nixl-efa-dev", root / "environments")


@pytest.mark.parametrize(
    ("team", "folder", "kept", "taken", "is_kept"),
    [
        ("", "", "", "", ""),
        ("", "6.1.0", "", "6.1.0", "6.1.0"),
        ("", "6.2.0", "6.1.0", "6.2.0", "6.2.0"),
        ("", "", "6.1.0", "6.1.0", "6.1.0"),
        ("6.3.0", "6.2.0", "6.1.0", "6.3.0", "6.1.0"),
        ("6.3.0", "", "", "6.3.0", ""),
    ],
)
def test_a_teams_lock_goes_before_what_terraform_wrote_here_and_that_before_its_copy(
    team: str, folder: str, kept: str, taken: str, is_kept: str, tmp_path: Path
) -> None:
    where = places(tmp_path)
    for path, version in ((where.team, team), (where.folder, folder), (where.kept, kept)):
        if version:
            put(path, version)

    provider_lock.keep(where)

    found, copy = provider_lock.in_force(where), provider_lock.read(where.kept)
    assert (found.version if found else "", copy.version if copy else "") == (taken, is_kept)


def test_a_lock_tells_the_constraint_of_the_settings_since_cdktf_upgrades_the_provider_where_they_differ(
    tmp_path: Path,
) -> None:
    where = places(tmp_path)
    put(where.folder, "6.20.0", "~> 6.20")
    assert provider_lock.placed(DEV, where) == lock("6.20.0")
    put(where.folder, "6.20.0")
    assert provider_lock.placed(DEV, where) is None
    script = (
        "const {ProviderConstraint} = require('@cdktf/cli-core/src/lib/dependencies/dependency-manager');"
        "const locked = process.argv[1].split('|').map(one => new ProviderConstraint('aws', one));"
        f"console.log(locked.map(one => one.matchesVersion('{DEFAULT}')).join())"
    )
    said = subprocess.run(
        ["node", "-e", script, f"~> 6.20|{DEFAULT}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines()[0] == "false,true"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a lock",
        lock("6.1.0").replace("  version   ", '<<<<<<< HEAD\n  version = "5.100.0"\n=======\n  version   '),
    ],
)
def test_a_teams_lock_that_can_not_be_read_is_not_passed_over(text: str, tmp_path: Path) -> None:
    where = places(tmp_path)
    put(where.kept, "5.100.0")
    put(where.team, "5.100.0")
    assert provider_lock.contradiction(DEV, where) is None
    where.team.write_text(text, encoding="utf-8")
    found = provider_lock.contradiction(DEV, where)
    assert found is not None
    assert "environments/dev.lock.hcl holds no lock" in found.message


CHANGED = DEV.model_copy(update={"provider_version": "~> 6.20"})


def test_a_lock_that_the_setting_leaves_out_refuses_the_synthesis_and_says_what_to_do(tmp_path: Path) -> None:
    out, where = tmp_path / "cdktf.out", places(tmp_path)
    put(where.folder, "5.100.0")
    put(where.kept, "5.100.0")

    run = run_main(out, NIXL_EFA_ENVIRONMENTS="dev", NIXL_EFA_DEV_PROVIDER_VERSION="~> 6.20")

    assert run.returncode == 1
    assert run.stderr == (
        "Error: dev: cdktf.out/stacks/nixl-efa-dev/.terraform.lock.hcl locks the AWS provider 5.100.0, and "
        'provider_version = "~> 6.20" (variable NIXL_EFA_DEV_PROVIDER_VERSION) excludes it. Set provider_version so '
        "that it takes 5.100.0; or let the next run choose anew: "
        "`rm cdktf.out/stacks/nixl-efa-dev/.terraform.lock.hcl state/nixl-efa-dev.lock.hcl`.\n"
    )
    assert not (out / "manifest.json").exists()
    put(where.team, "5.100.0")
    found = provider_lock.contradiction(CHANGED, where)
    assert found is not None
    assert "environments/dev.lock.hcl locks the AWS provider 5.100.0" in found.message
    put(where.team, "6.20.1")
    assert provider_lock.contradiction(CHANGED, where) is None


def test_a_lock_outlives_cdktf_out_and_terraform_takes_it_as_it_is(tmp_path: Path) -> None:
    out, where = tmp_path / "cdktf.out", places(tmp_path)
    with terraform_environ(os.environ) as environ:

        def terraform(*words: str) -> None:
            command = [shutil.which("terraform") or "terraform", *words]
            done = subprocess.run(
                command, cwd=where.folder.parent, env=environ, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr

        assert run_main(out, NIXL_EFA_ENVIRONMENTS="dev").returncode == 0
        assert not where.folder.exists()
        terraform("init", "-input=false", "-backend=false")
        written = where.folder.read_text(encoding="utf-8")
        # The next synthesis is the first that sees what init wrote for the cdktf command line.
        assert run_main(out, NIXL_EFA_ENVIRONMENTS="dev").returncode == 0
        assert where.kept.read_text(encoding="utf-8") == written
        shutil.rmtree(out)

        assert (
            run_main(out, NIXL_EFA_ENVIRONMENTS="dev", NIXL_EFA_PROVIDER_VERSION="~> 5.100").returncode == 0
        )
        terraform("init", "-input=false", "-backend=false", "-lockfile=readonly")
    assert provider_lock.locked(where.folder.read_text(encoding="utf-8")) == "5.100.0"
