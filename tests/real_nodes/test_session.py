"""`connect` in a rehearsal that was kept: a program of the plugin's name enters the machine."""

import json
import subprocess
from pathlib import Path

from local_aws.machines.session import write_plugin
from tests.real_nodes.conftest import Account


def enter(account: Account, plugin: Path, target: str, words: str) -> subprocess.CompletedProcess[str]:
    arguments = ["{}", "us-east-2", "StartSession", "", json.dumps({"Target": target}), account.aws.endpoint]
    return subprocess.run([plugin, *arguments], input=words, capture_output=True, text=True, check=False)


def test_the_plugin_of_a_rehearsal_enters_the_machine(account: Account, tmp_path: Path) -> None:
    write_plugin(tmp_path / "bin")
    plugin = tmp_path / "bin" / "session-manager-plugin"
    [instance] = account.launch(lambda _: "#cloud-config\nruncmd: []\n")
    early = enter(account, plugin, instance, "hostname\n")
    assert (early.returncode, early.stderr) == (1, f"{instance}: its machine is not up\n")
    account.wait_until_managed(instance)
    inside = enter(account, plugin, instance, "hostname; id -un; shopt login_shell; exit 5\n")
    hostname = account.out(instance, "hostname").strip()
    assert (inside.returncode, inside.stderr) == (5, "")
    assert inside.stdout.split() == [hostname, "root", "login_shell", "on"]
    version = subprocess.run([plugin, "--version"], capture_output=True, text=True, check=True).stdout
    assert version == "1.2.0.0\n"
