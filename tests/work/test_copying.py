"""What the words of `nixl-efa copy` mean."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from local_aws import LocalAws
from nixl_efa.aws import Clients
from nixl_efa.clock import EndpointClock
from nixl_efa.failure import BadInput
from nixl_efa.nodes.run_command import Bucket
from nixl_efa.work.copying import Copy, Kept, Progress, Remote, parse


@pytest.fixture
def bucket(aws: LocalAws) -> Bucket:
    s3 = Clients().s3("us-east-2")
    s3.create_bucket(Bucket="scripts", CreateBucketConfiguration={"LocationConstraint": "us-east-2"})
    return Bucket(s3, "scripts")


def _pieces(bucket: Bucket, name: str) -> list[str]:
    return [one["Key"].rpartition("/")[2] for one in bucket.objects(f"nixl-efa-copy/{name}/")]


def test_a_copy_that_was_cut_days_ago_continues_with_what_it_sent(aws: LocalAws, bucket: Bucket) -> None:
    Kept(bucket, "mine").store("1", b"one")
    aws.clock.advance(timedelta(days=3))
    kept = Kept(bucket, "mine")
    kept.forget_old(EndpointClock(aws.endpoint))
    kept.store("1", b"one")
    assert _pieces(bucket, "mine") == ["1"]


def test_of_the_others_only_a_copy_to_which_nothing_was_added_for_a_day_is_deleted(
    aws: LocalAws, bucket: Bucket
) -> None:
    for name in ("left", "slow"):
        Kept(bucket, name).store("1", b"one")
    aws.clock.advance(timedelta(days=2))
    Kept(bucket, "slow").store("2", b"two")
    Kept(bucket, "mine").forget_old(EndpointClock(aws.endpoint))
    assert (_pieces(bucket, "left"), _pieces(bucket, "slow")) == ([], ["1", "2"])


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (
            ["a", "b c", "prod:all:/data/"],
            Copy(Remote("prod", (), "/data/"), ("a", "b c"), to_nodes=True),
        ),
        (
            ["prod:consumer-2:~/x:y", "."],
            Copy(Remote("prod", ("consumer-2",), "~/x:y"), (".",), to_nodes=False),
        ),
        (
            ["./prod:all:x", "prod:producer,consumer:x"],
            Copy(Remote("prod", ("producer", "consumer"), "x"), ("./prod:all:x",), to_nodes=True),
        ),
        (
            ["a", "prod:consumer,producer,consumer:x"],
            Copy(Remote("prod", ("consumer", "producer"), "x"), ("a",), to_nodes=True),
        ),
    ],
)
def test_paths_are_here_or_on_nodes(words: list[str], wanted: Copy) -> None:
    assert parse(words) == wanted


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a", "b"], "neither end is a node: write ENV:NODE:PATH for one, or ENV:all:PATH for all nodes."),
        (["prod:all:a", "dev:all:b"], "both ends are nodes"),
        (["prod:all:a", "prod:all:b", "."], "copy one path from the nodes at a time"),
        (["a", "prod:producer:"], "prod:producer:: which file or folder of the node?"),
        (["a", "prod:/data"], "prod:/data: which node? Write ENV:NODE:PATH"),
    ],
)
def test_what_can_not_be_meant_is_said(words: list[str], told: str) -> None:
    with pytest.raises(BadInput, match=re.escape(told)):
        parse(words)


def test_the_same_copy_of_the_same_user_has_the_same_name() -> None:
    one = parse(["a", "prod:all:/data/"])
    others = [
        parse(["a", "prod:all:/data"]),
        parse(["b", "prod:all:/data/"]),
        parse(["prod:all:/data/", "a"]),
    ]
    assert one.name("me") == parse(["./a", "prod:all:/data/"]).name("me")
    assert len({one.name("me"), one.name("you"), *(other.name("me") for other in others)}) == 5


def test_progress_is_what_the_nodes_have_together() -> None:
    progress = Progress()
    progress.heard("producer", b"5 of 10\n7 of 10\n")
    progress.heard("consumer", b"noise\n10 of 10\n")
    assert progress.done == 17
