"""A proxy that takes the purchase and then closes the connection: it may have been made."""

import socket
import threading

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from nixl_efa.capacity.purchase_calls import certainly_not_bought


def test_a_connection_that_a_proxy_closes_after_the_request_proves_nothing() -> None:
    sent: list[bytes] = []

    def take_and_close(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            while b"Action=PurchaseCapacityBlock" not in b"".join(sent):
                sent.append(connection.recv(65536))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = threading.Thread(target=take_and_close, args=(listener,), daemon=True)
        proxy.start()
        ec2 = boto3.client(
            "ec2",
            region_name="us-east-2",
            endpoint_url="http://ec2.invalid",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            config=Config(
                proxies={"http": f"http://127.0.0.1:{listener.getsockname()[1]}"},
                retries={"total_max_attempts": 1},
            ),
        )
        with pytest.raises(BotoCoreError) as lost:
            ec2.purchase_capacity_block(CapacityBlockOfferingId="cb-0", InstancePlatform="Linux/UNIX")
        proxy.join(10)
    assert not certainly_not_bought(lost.value)
