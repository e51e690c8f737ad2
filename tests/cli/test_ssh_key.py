"""The key of `nixl-efa ssh-config`: made once, and what is public of it again where that file is gone."""

import shutil
from pathlib import Path

import pytest

from nixl_efa.cli import reach
from nixl_efa.failure import Failure
from nixl_efa.work import ssh

needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen here")


@needs_ssh_keygen
def test_a_key_is_made_once_and_its_public_part_is_written_again(tmp_path: Path) -> None:
    at = ssh.places(tmp_path / "new", "nixl-efa-dev")
    public = reach._key(at, "nixl-efa-dev")
    private = at.key.read_bytes()
    assert public.split()[0] == "ssh-ed25519"
    at.public.unlink()
    assert reach._key(at, "nixl-efa-dev").split()[:2] == public.split()[:2]
    assert at.key.read_bytes() == private
    assert at.public.is_file()


@needs_ssh_keygen
def test_a_file_that_is_no_key_stays_and_is_said(tmp_path: Path) -> None:
    at = ssh.places(tmp_path, "nixl-efa-dev")
    at.key.write_text("mine", encoding="utf-8")
    at.key.chmod(0o600)
    with pytest.raises(Failure, match="its public key can't be read") as error:
        reach._key(at, "nixl-efa-dev")
    assert error.value.message.endswith("Move the file away and run this again.")
    assert at.key.read_text(encoding="utf-8") == "mine"
