"""What is said about variables, the context and the files themselves, word for word."""

from typing import Any

import pytest

from nixl_efa.findings import Level
from tests.settings.conftest import DEV, NO_RESERVATION, P5, RESERVED, Load, Said, lines

BUCKET = "a bucket's name: 3 to 63 lower-case letters, digits, hyphens and dots"

# A file of the environment dev, variables and context above it, then all that is said, if anything.
ABOVE: list[tuple[Any, ...]] = [
    (
        P5 + RESERVED + "use_capacity_block = true",
        {"NIXL_EFA_SPOT": "yes", "NIXL_EFA_DEV_CAPACITY_RESERVATION_ID": "none"},
        {},
        f"FAIL dev: spot = true (variable NIXL_EFA_SPOT) and use_capacity_block = true ({DEV}: "
        "use_capacity_block) exclude each other: an instance has one market type. Change one of them, or set "
        "NIXL_EFA_DEV_SPOT=false or NIXL_EFA_DEV_USE_CAPACITY_BLOCK=false.",
        NO_RESERVATION,
    ),
    (
        P5 + RESERVED + "use_capacity_block = true",
        {"NIXL_EFA_DEV_USE_CAPACITY_BLOCK": "false"},
        {},
        f'WARN dev: capacity_reservation_id = "cr-01234567" ({DEV}: capacity_reservation_id) stays the '
        "launch's target although use_capacity_block = false (variable NIXL_EFA_DEV_USE_CAPACITY_BLOCK) "
        f"overrides use_capacity_block = true ({DEV}: use_capacity_block); AWS refuses the launch if that "
        "reservation is a Capacity Block. To launch without it set "
        "NIXL_EFA_DEV_CAPACITY_RESERVATION_ID=none.",
    ),
    (
        P5 + RESERVED + "use_capacity_block = true",
        {"NIXL_EFA_DEV_USE_CAPACITY_BLOCK": "false", "NIXL_EFA_CAPACITY_RESERVATION_ID": "cr-76543210"},
        {"useCapacityBlock": True},
        'WARN dev: capacity_reservation_id = "cr-76543210" (variable NIXL_EFA_CAPACITY_RESERVATION_ID) stays '
        "the launch's target although use_capacity_block = false (variable NIXL_EFA_DEV_USE_CAPACITY_BLOCK) "
        "overrides use_capacity_block = true (cdktf context: useCapacityBlock); AWS refuses the launch if "
        "that reservation is a Capacity Block. To launch without it set "
        "NIXL_EFA_DEV_CAPACITY_RESERVATION_ID=none.",
    ),
    (P5 + RESERVED, {"NIXL_EFA_DEV_USE_CAPACITY_BLOCK": "false"}, {}),
    (
        P5 + RESERVED + "use_capacity_block = true",
        {"NIXL_EFA_DEV_USE_CAPACITY_BLOCK": "false", "NIXL_EFA_DEV_CAPACITY_RESERVATION_ID": "cr-76543210"},
        {},
    ),
    (
        P5 + RESERVED + 'availability_zone_parameter = "/z"',
        {"NIXL_EFA_CAPACITY_RESERVATION_PARAMETER": "/b"},
        {},
        f'WARN dev: availability_zone_parameter = "/z" ({DEV}: availability_zone_parameter) is ignored: '
        "it belongs to another reservation than that of variable NIXL_EFA_CAPACITY_RESERVATION_PARAMETER. "
        "Set availability_zone to that reservation's zone.",
    ),
    # Other shares of the same reservations leave their zone as it is.
    (
        P5
        + 'availability_zone_parameter = "/z"\n[[capacity]]\ncapacity_reservation_parameter = "/a"\nproducers = 1',
        {"NIXL_EFA_CAPACITY": '[{"capacity_reservation_parameter": "/a", "producers": 1, "consumers": 1}]'},
        {},
    ),
    (
        P5 + RESERVED + 'availability_zone_parameter = "/z"',
        {},
        {"capacityReservationId": None},
        f'WARN dev: availability_zone_parameter = "/z" ({DEV}: availability_zone_parameter) is ignored: '
        "its reservation is unset by cdktf context: capacityReservationId. Set availability_zone if the "
        "zone matters.",
    ),
    (
        P5,
        {"NIXL_EFA_CAPACITY_RESERVATION_ID": "cr-01234567", "NIXL_EFA_CAPACITY_RESERVATION_PARAMETER": "/a"},
        {},
        'FAIL dev: capacity_reservation_id = "cr-01234567" (variable NIXL_EFA_CAPACITY_RESERVATION_ID) and '
        'capacity_reservation_parameter = "/a" (variable NIXL_EFA_CAPACITY_RESERVATION_PARAMETER) exclude '
        "each other. Keep one of them.",
    ),
    (
        P5,
        {
            "NIXL_EFA_BACKEND": '{"type": "s3"',
            "NIXL_EFA_SERVICE_PORTS": "80,x",
            "NIXL_EFA_SPOT": "maybe",
            "NIXL_EFA_DEV_TAGS": "a",
            "NIXL_EFA_VOLUME_SIZE": "9" * 30,
        },
        {},
        f'FAIL volume_size = "{"9" * 30}" (variable NIXL_EFA_VOLUME_SIZE) must be a whole number of GiB from 8 '
        "to 65536.",
        'FAIL spot = "maybe" (variable NIXL_EFA_SPOT) must be true or false.',
        'FAIL service_ports[1] = "x" (variable NIXL_EFA_SERVICE_PORTS) must be a port from 1 to 65535.',
        'FAIL tags = "a" (variable NIXL_EFA_DEV_TAGS) must be a table of tags, in a variable '
        "KEY=VALUE,KEY=VALUE or JSON.",
        'FAIL backend = "{\\"type\\": \\"s3\\"" (variable NIXL_EFA_BACKEND) must be "local", or a table (JSON '
        'in a variable) with the type "local", "s3" or "cloud".',
    ),
    (
        P5,
        {"NIXL_EFA_BACKEND": '{"type": "s3", "bucket": "B"}'},
        {},
        f'FAIL backend.bucket = "B" (variable NIXL_EFA_BACKEND) must be {BUCKET}.',
    ),
    (
        P5,
        {
            "NIXL_EFA_DEV_REGON": "x",
            "NIXL_EFA_ENVIRONMENT": "dev",
            "NIXL_EFA_INSTANCE_TYP": "x",
            "NIXL_EFA_QQ": "1",
            "nixl_efa_spot": "1",
            "NIXL_EFA_UNUSED": "",
            "NIXL_EFA": "1",
        },
        {},
        'FAIL The variable NIXL_EFA_ENVIRONMENT = "dev" names no setting. Did you mean NIXL_EFA_ENVIRONMENTS?',
        'FAIL The variable NIXL_EFA_INSTANCE_TYP = "x" names no setting. Did you mean NIXL_EFA_INSTANCE_TYPE?',
        'FAIL The variable NIXL_EFA_QQ = "1" names no setting. docs/settings.md lists the settings.',
        'FAIL The variable nixl_efa_spot = "1" names no setting. Did you mean NIXL_EFA_SPOT?',
        'FAIL The variable NIXL_EFA_DEV_REGON = "x" names no setting. Did you mean NIXL_EFA_DEV_REGION?',
    ),
    (
        P5,
        {"NIXL_EFA_ENVIRONMENTS": "dve,nothing"},
        {},
        'FAIL There is no environment "dve" (variable NIXL_EFA_ENVIRONMENTS). Did you mean dev?',
        'FAIL There is no environment "nothing" (variable NIXL_EFA_ENVIRONMENTS). There are: dev.',
    ),
    (P5, {}, {"dev": 5}, "FAIL dev = 5 (cdktf context: dev) must be an object of settings."),
    (
        P5,
        {},
        {"dev": {"instanceTyp": 1, "vllmPort": "x", "service_ports": [80]}},
        "FAIL instanceTyp is not a setting (cdktf context: dev.instanceTyp). Did you mean instance_type?",
        "FAIL service_ports is given twice (cdktf context: dev.vllmPort and dev.service_ports). Keep one of "
        "them.",
        'FAIL service_ports[1] = "x" (cdktf context: dev.vllmPort) must be a port from 1 to 65535.',
    ),
    (
        P5,
        {},
        {
            "instanceTyp": 1,
            "Dev": {},
            "excludeStackIdFromLogicalIds": "true",
            "version": 1,
            "region": None,
            "branch": "x",
        },
        "WARN instanceTyp is neither a setting nor an environment (cdktf context: instanceTyp); it is ignored. "
        "Did you mean instanceType?",
        "WARN Dev is neither a setting nor an environment (cdktf context: Dev); it is ignored. Did you mean dev?",
        "WARN branch is not a setting (cdktf context: branch); it is ignored. From the AWS CDK: an environment "
        "is a file environments/NAME.toml, and its stack is called nixl-efa-NAME.",
        "FAIL region = null (cdktf context: region) must be the name of an AWS region, such as us-east-2.",
    ),
]


@pytest.mark.parametrize(
    ("file", "environ", "context", "expected"),
    [(file, environ, context, told) for file, environ, context, *told in ABOVE],
)
def test_what_is_said_about_variables_and_context(
    said: Said, file: str, environ: dict[str, str], context: dict[str, object], expected: list[str]
) -> None:
    assert said({"dev": file}, environ, context) == expected


def test_all_faults_of_all_environments_come_at_once_and_a_shared_one_once(load_texts: Load) -> None:
    files = {
        "prod": P5 + "spot = 1\nregion = 2\n" + 'placement_group = "on"\nuse_capacity_block = true',
        "dev": "",
    }
    loaded = load_texts(files, {"NIXL_EFA_VOLUME_SIZE": "big", "NIXL_EFA_REGOIN": "x"})
    assert [one.check for one in loaded.findings if one.level is Level.FAIL] == [
        "NIXL_EFA_REGOIN",
        "instance_type",
        "volume_size",
        "region",
        "spot",
        "placement_group",
    ]
    assert loaded.environments == ()
    assert [one.check for one in loaded.by_environment["dev"]] == ["instance_type", "volume_size"]
    assert [one.check for one in loaded.general] == ["NIXL_EFA_REGOIN"]


def test_environments_without_a_fault_are_there_beside_those_with_one(load_texts: Load) -> None:
    loaded = load_texts({"dev": P5, "prod": P5 + "spot = 1", "staging": 'instance_type = "g7e.2xlarge"'})
    assert [one.name for one in loaded.environments] == ["dev", "staging"]


def test_a_message_stays_on_one_line_and_short(load_texts: Load) -> None:
    environ: dict[str, Any] = {"NIXL_EFA_OWNER": "a\nb\x1b[31m" + "x" * 5000}
    (message,) = lines(load_texts({"dev": P5}, environ))
    assert message.isprintable()
    assert len(message) < 300
