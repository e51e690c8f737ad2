"""Why a node does not run: every code that EC2 documents, and what AWS leaves open."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest

from nixl_efa.capacity.reservation import Reservation, from_api
from nixl_efa.nodes.causes import REASONS, UNKNOWN, cause

END = datetime(2026, 12, 2, 11, 30, tzinfo=UTC)
STOPS = END - timedelta(minutes=30)
DAYS_BEFORE = END - timedelta(days=2)
NO_CODE_OF_AWS = "Server.SomethingNew"
BY_USER = "Client.UserInitiatedShutdown"


def block(**changes: Any) -> Reservation:
    payload = {
        "CapacityReservationId": "cr-1",
        "ReservationType": "capacity-block",
        "InstanceType": "p5.48xlarge",
        "State": "active",
        "EndDate": END,
        **changes,
    }
    return from_api(payload, "us-east-2")


ON_DEMAND = block(ReservationType="default", EndDate=None)
LENT = block(ReservationType="default", EndDate=None, Interruptible=True)


def of(**changes: Any) -> Any:
    known: dict[str, Any] = {
        "environment": "prod",
        "state": "terminated",
        "code": BY_USER,
        "market": "capacity-block",
        "reservation": block(),
        "now": DAYS_BEFORE,
        "start_command": "aws ec2 start-instances",
    }
    return cause(**{**known, **changes})


def test_every_code_that_ec2_documents_has_words() -> None:
    model = botocore.session.get_session().get_service_model("ec2")
    shape: Any = model.shape_for("StateReason")
    documentation = shape.members["Message"].documentation
    documented = re.findall(r"<code>([\w.]+)</code>", documentation)
    assert len(documented) > 10
    assert set(REASONS) == set(documented)


@pytest.mark.parametrize("code", [code for code in REASONS if "Spot" not in code])
@pytest.mark.parametrize("market", ["on-demand", "capacity-block"])
def test_within_the_blocks_time_the_cause_is_the_code_and_the_node_is_built_anew(
    code: str, market: str
) -> None:
    found = of(code=code, market=market, reservation=block() if market == "capacity-block" else None)
    assert found.why == f"{REASONS[code]} ({code})"
    assert "`nixl-efa deploy prod` builds it again, at the same address." in found.remedy
    assert "capacity search" not in found.remedy
    if code == "Server.InsufficientInstanceCapacity":
        # A block is paid for: no capacity is to be bought beside it.
        assert ("Buy nothing" in found.remedy) == (market == "capacity-block")
    slot = "Its slot in cr-1 is free again some minutes after it ended."
    assert (slot in found.remedy) == (market == "capacity-block")


@pytest.mark.parametrize(
    ("known", "why", "remedy"),
    [
        # The time of a user's call is known, and so whether it came before the block's end.
        ({"ended": DAYS_BEFORE}, f"({BY_USER}, at 2026-11-30 11:30 UTC)", "at the same address"),
        ({"ended": DAYS_BEFORE, "now": STOPS}, f"({BY_USER}, at 2026-11-30 11:30 UTC)", "finds another one"),
        (
            {"ended": STOPS, "now": END},
            f"AWS documents no reason for that; its reason is {BY_USER}",
            "",
        ),
        # At a block's end.
        (
            {"code": NO_CODE_OF_AWS, "now": STOPS},
            "cr-1 is at its end, and EC2 terminates what runs in it from 2026-12-02 11:00 UTC on (inferred",
            "Its block accepts no more launches: `nixl-efa capacity search` finds another one",
        ),
        ({"code": "", "now": STOPS}, "is at its end", "finds another one"),
        ({"code": "Server.InternalError", "now": STOPS}, "its reason is Server.InternalError", "another one"),
        (
            {"state": UNKNOWN, "code": "", "now": END},
            "EC2 no longer shows it; cr-1 is at its end",
            "finds another one",
        ),
        (
            {"code": "", "now": END, "reservation": block(State="expired")},
            "cr-1 is at its end",
            "finds another one",
        ),
        # UltraServers begin to end 60 minutes before.
        (
            {"code": "", "now": STOPS, "reservation": block(InstanceType="trn2u.48xlarge")},
            "from 2026-12-02 10:30 UTC on",
            "",
        ),
        # Just before it.
        (
            {"code": NO_CODE_OF_AWS, "now": STOPS - timedelta(minutes=1)},
            f"EC2 gives the reason '{NO_CODE_OF_AWS}', which AWS does not document",
            "builds it again",
        ),
        ({"code": ""}, "EC2 gives no reason", "builds it again"),
        # Where the block could not be looked at, nothing is inferred.
        ({"code": "", "now": END, "reservation": None}, "EC2 gives no reason", "builds it again"),
        # The end of an On-Demand reservation terminates nothing.
        (
            {"market": "on-demand", "reservation": block(ReservationType="default"), "now": END, "code": ""},
            "EC2 gives no reason",
            "builds it again",
        ),
        # An interruptible reservation's owner takes it back.
        (
            {"market": "on-demand", "reservation": LENT, "code": ""},
            "took the capacity back (inferred",
            "again",
        ),
        ({"market": "on-demand", "reservation": LENT}, "somebody shut it down through the EC2 API", "again"),
        (
            {"market": "interruptible-capacity-reservation", "reservation": None, "code": ""},
            "the owner of its interruptible reservation",
            "",
        ),
        # EC2 shows it no more.
        (
            {"state": UNKNOWN, "code": ""},
            "EC2 shows it no more, which as a rule is an hour",
            "builds it again",
        ),
        # What must be mended before the next try.
        ({"code": "Client.VolumeLimitExceeded"}, "limit of EBS volumes", "Service Quotas. `nixl-efa deploy"),
        # Not among the endings that AWS documents, and seen (CiscoDevNet/cloud-cml 8).
        (
            {"code": "Client.InvalidKMSKey.InvalidState"},
            "the KMS key that encrypts the volumes is disabled",
            "enable it (`aws kms enable-key`), let your role use it (its key policy), or set kms_key_id to another. "
            "`nixl-efa deploy",
        ),
        (
            {"code": "Server.SpotInstanceTermination", "market": "spot", "reservation": None},
            "EC2 took the Spot Instance's capacity back",
            "Set spot = false",
        ),
        # What stands still is started.
        ({"state": "stopped"}, "through the EC2 API", "Start it: `aws ec2 start-instances`."),
        ({"state": "stopped", "code": "Server.ScheduledStop"}, "host is retired", "Start it"),
        ({"state": "stopped", "now": STOPS, "code": ""}, "is at its end", "finds another one"),
        (
            {
                "state": "stopped",
                "market": "spot",
                "reservation": None,
                "code": "Server.SpotInstanceShutdown",
            },
            "and stopped it",
            "EC2 starts it again when it has capacity",
        ),
        ({"state": "pending", "code": "pending"}, "still starting", "Wait until it runs."),
    ],
)
def test_what_is_known_decides_the_cause_and_the_remedy(known: dict[str, Any], why: str, remedy: str) -> None:
    found = of(**known)
    assert why in found.why
    assert remedy in found.remedy
    assert found.remedy.endswith(".")
