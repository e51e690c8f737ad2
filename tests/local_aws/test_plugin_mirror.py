"""How Terraform finds the provider where its registry is out of reach."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from nixl_efa.rehearse.plugin_mirror import find_mirror, terraform_environ

PLATFORM = "registry.terraform.io/hashicorp/aws/{version}/linux_amd64"


def put_provider(root: Path, version: str = "5.100.0", below: str = "deep/plugins") -> Path:
    platform = root / below / PLATFORM.format(version=version)
    platform.mkdir(parents=True)
    (platform / f"terraform-provider-aws_v{version}_x5").touch()
    return root / below


def test_the_mirror_is_the_folder_above_the_hosts(tmp_path: Path) -> None:
    mirror = put_provider(tmp_path)

    assert find_mirror({}, tmp_path) == mirror


@pytest.mark.parametrize("version", ["5.99.1", "7.0.0", "newest"])
def test_a_version_that_the_stacks_do_not_take_is_no_mirror(version: str, tmp_path: Path) -> None:
    put_provider(tmp_path, version)

    assert find_mirror({}, tmp_path) is None


def test_a_provider_that_terraform_init_put_into_a_stack_is_no_mirror(tmp_path: Path) -> None:
    put_provider(tmp_path, below="stack/.terraform/providers")

    assert find_mirror({}, tmp_path) is None


def test_the_variable_goes_before_what_could_be_found(tmp_path: Path) -> None:
    put_provider(tmp_path)

    assert find_mirror({"TF_PLUGIN_MIRROR": "/some/mirror"}, tmp_path) == Path("/some/mirror")


def test_the_search_gives_up_after_its_time(tmp_path: Path) -> None:
    put_provider(tmp_path)

    assert find_mirror({}, tmp_path, seconds=-1) is None


def test_a_configuration_that_exists_is_left_to_terraform(tmp_path: Path) -> None:
    own = tmp_path / "own.rc"
    own.touch()

    with terraform_environ({"TF_CLI_CONFIG_FILE": str(own), "TF_PLUGIN_MIRROR": "/some/mirror"}) as environ:
        assert environ["TF_CLI_CONFIG_FILE"] == str(own)


def test_one_that_does_not_exist_is_replaced_by_one_that_names_the_mirror_and_goes_with_the_block(
    tmp_path: Path,
) -> None:
    mirror = put_provider(tmp_path)
    given = {"TF_CLI_CONFIG_FILE": "/does/not/exist", "TF_PLUGIN_MIRROR": str(mirror)}

    with terraform_environ(given) as environ:
        config = Path(environ["TF_CLI_CONFIG_FILE"])
        assert f'path    = "{mirror}"' in config.read_text(encoding="utf-8")
    assert not config.exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        # In the mirror's host, so the mirror alone is asked.
        ("registry.terraform.io/hashicorp/null", "was not found in any of the search locations"),
        # Of another registry, which is asked itself; nobody listens there.
        ("localhost:9/hashicorp/aws", "could not connect to localhost:9"),
    ],
)
def test_the_mirror_is_asked_for_its_own_registry_and_every_other_one_itself(
    source: str, said: str, tmp_path: Path
) -> None:
    mirror = put_provider(tmp_path)
    folder = tmp_path / "stack"
    folder.mkdir()
    required = {"required_providers": {"aws": {"source": source}}}
    (folder / "main.tf.json").write_text(json.dumps({"terraform": required}), encoding="utf-8")
    given = {
        "PATH": os.environ["PATH"],
        "TF_CLI_CONFIG_FILE": "/no/such/file",
        "TF_PLUGIN_MIRROR": str(mirror),
    }
    with terraform_environ(given) as environ:
        done = subprocess.run(
            ["terraform", "init", "-no-color"],
            cwd=folder,
            env={**environ, "TF_REGISTRY_DISCOVERY_RETRY": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert said in " ".join(done.stderr.split())
