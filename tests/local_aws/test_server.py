import socket
from datetime import timedelta

import pytest

from local_aws import LocalAws, PortInUseError


def test_one_that_is_not_running_has_no_port_and_can_be_stopped() -> None:
    with pytest.raises(RuntimeError, match="not running"):
        _ = LocalAws().endpoint
    LocalAws().stop()


def test_a_port_in_use_leaves_room_for_another_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortInUseError, match="is taken"):
        LocalAws(taken.getsockname()[1]).start()
    with LocalAws() as aws:
        assert aws.port > 0


def test_its_clock_can_be_moved_in_one_word() -> None:
    with LocalAws() as aws:
        aws.clock.run(speed=0)
        before = aws.clock.now()
        aws.advance(timedelta(hours=2))
        assert aws.clock.now() == before + timedelta(hours=2)


def test_a_port_is_free_again_after_a_stop() -> None:
    with LocalAws() as aws:
        port = aws.port
    with LocalAws(port) as again:
        assert again.port == port


def test_a_port_that_may_not_be_used_is_not_called_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_aws.server.HOST", "192.0.2.1")  # no address of this machine (RFC 5737)
    with pytest.raises(OSError, match="Cannot assign requested address") as caught:
        LocalAws().start()
    assert not isinstance(caught.value, PortInUseError)
