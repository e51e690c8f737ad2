"""What is said about one setting's value, word for word."""

import pytest

from nixl_efa.settings import SETTING_NAMES
from tests.settings.conftest import G7E, P5, Load, Said, lines

SETTINGS = f"There are: {', '.join(sorted(SETTING_NAMES))}."
BUCKET = "a bucket's name: 3 to 63 lower-case letters, digits, hyphens and dots"
CLOUD_NAME = "at most 90 letters, digits, underscores and hyphens"
TAG_CHARACTERS = "letters, digits, spaces and _ . : / = + - @"
ACCOUNT_ID = 'the 12 digits of an AWS account as text, such as "123456789012"'
PARAMETER = 'the full name of a parameter in Parameter Store, such as "/team/name"'
KEY = "a key's ARN (not an alias): arn:aws:kms:REGION:ACCOUNT:key/ and the key's id"
ROLE = "a role's ARN, such as arn:aws:iam::123456789012:role/deploy"
GROUP = 'a table (JSON in a variable), such as {instance_type = "g6e.12xlarge"}'
WHEELS = "a folder's absolute path, or the https address of a package index without user and password"
VERSION = 'a version as PEP 440 writes it, such as "1.5.0"'

# A setting, a value as TOML writes it, and what the message says that it must be.
REFUSED_VALUES: list[tuple[str, str, str]] = [
    ("region", '"moon-1"', "the name of an AWS region, such as us-east-2."),
    ("region", '"us-esat-1"', 'the name of an AWS region, such as us-east-2. Did you mean "us-east-1"?'),
    ("account_id", "123456789012", f"{ACCOUNT_ID}."),
    ("account_id", '"12345678901"', f"{ACCOUNT_ID}."),
    ("account_id", '"1234-5678-9012"', f"{ACCOUNT_ID}."),
    ("profile", '"my profile"', "a profile's name: up to 128 letters, digits and _ . @ : / + = , -."),
    ("producer", '"g6e.12xlarge"', f"{GROUP}."),
    ("consumer", "1", f"{GROUP}."),
    (
        "capacity",
        '"cr-00000001"',
        "a list of tables (JSON in a variable), each with a reservation and how many nodes it takes.",
    ),
    (
        "assume_role",
        '"deploy"',
        "a role's ARN, or a table (JSON in a variable) with arn, external_id and session_name.",
    ),
    (
        "availability_zone",
        '"use2-az1"',
        "the name of a zone, such as us-east-2a (not a zone's id such as use2-az1).",
    ),
    ("availability_zone_parameter", '"zone"', f"{PARAMETER}."),
    ("instance_type", "5", "an EC2 instance type, such as g7e.12xlarge."),
    ("producers", "0", "a whole number from 1 to 63."),
    ("producers", '"2"', "a whole number from 1 to 63."),
    ("consumers", "64", "a whole number from 1 to 63."),
    ("volume_size", '"300"', "a whole number of GiB from 8 to 65536."),
    ("volume_size", "7", "a whole number of GiB from 8 to 65536."),
    ("volume_size", "65537", "a whole number of GiB from 8 to 65536."),
    ("volume_size", "true", "a whole number of GiB from 8 to 65536."),
    ("volume_iops", "3000.5", "a whole number of I/O operations per second from 3000 to 80000."),
    ("volume_iops", "2999", "a whole number of I/O operations per second from 3000 to 80000."),
    ("volume_iops", "80001", "a whole number of I/O operations per second from 3000 to 80000."),
    ("volume_throughput", "124", "a whole number of MiB/s from 125 to 2000."),
    ("volume_throughput", "2001", "a whole number of MiB/s from 125 to 2000."),
    ("kms_key_id", '"alias/mine"', f"{KEY}."),
    ("kms_key_id", '"arn:aws:kms:us-east-2:123456789012:alias/mine"', f"{KEY}."),
    ("vpc_id", '"vpc-1"', "a VPC's id: vpc- and 8 to 17 hexadecimal digits."),
    ("subnet_id", '"subnet-0123456G"', "a subnet's id: subnet- and 8 to 17 hexadecimal digits."),
    ("security_group_id", '"default"', "a security group's id: sg- and 8 to 17 hexadecimal digits."),
    (
        "key_name",
        '"a{b"',
        "the name of an EC2 key pair: up to 255 ASCII characters, no braces, no space at either end.",
    ),
    ("use_capacity_block", '"yes"', "true or false."),
    (
        "capacity_reservation_id",
        '"cr-0123456789"',
        "a Capacity Reservation's id: cr- and 8 or 17 hexadecimal digits.",
    ),
    ("capacity_reservation_parameter", '"nixl-efa/id"', f"{PARAMETER}."),
    ("spot", "1", "true or false."),
    ("placement_group", '"of"', '"auto", "on" or "off". Did you mean "off"?'),
    ("placement_group", "true", '"auto", "on" or "off".'),
    ("ami_id", '"ami-latest"', "an image's id: ami- and 8 to 17 hexadecimal digits."),
    ("ami_parameter", '"/a//b"', f"{PARAMETER}."),
    (
        "instance_profile",
        '"arn:aws:iam::123456789012:instance-profile/mine"',
        "an instance profile's name (not its ARN): up to 128 letters, digits and _ + = , . @ -.",
    ),
    (
        "permissions_boundary",
        '"boundary"',
        "a policy's ARN, such as arn:aws:iam::123456789012:policy/boundary.",
    ),
    ("elastic_ip", '"no"', "true or false."),
    ("protect_nodes", '"on"', "true or false."),
    ("empty_scripts_bucket", "1", "true or false."),
    ("service_ports", "8000", "a list of ports, in a variable separated by commas."),
    ("service_cidrs", '"10.20.0.0/16"', "a list of IPv4 blocks, in a variable separated by commas."),
    ("install_nixl", "0", "true or false."),
    ("nixl_version", "1.5", 'a version of NIXL, such as "1.5.0".'),
    ("nixl_wheels", '"https://me:secret@wheels.example/simple/"', f"{WHEELS}."),
    ("nixl_wheels", '"wheels"', f"{WHEELS}."),
    ("nixl_wheels", '"http://wheels.example/simple/"', f"{WHEELS}."),
    ("nixl_wheels", '"/opt/wheels; id"', f"{WHEELS}."),
    ("nixl_version", '"latest"', f"{VERSION}."),
    (
        "models_bucket",
        '"s3://acme-models"',
        "a bucket's name: 3 to 63 lower-case letters, digits, hyphens and dots.",
    ),
    ("nixl_version", '"1.5.1; rm -rf /"', f"{VERSION}."),
    ("service", '"Qwen/Qwen3-32B"', 'a table (JSON in a variable), such as {model = "Qwen/Qwen3-32B"}.'),
    (
        "mlflow_tracking_server_arn",
        '"arn:aws:s3:::mine"',
        "an ARN such as arn:aws:sagemaker:us-east-2:123456789012:mlflow-tracking-server/NAME.",
    ),
    (
        "mlflow_artifact_bucket_arn",
        '"mine"',
        "the ARN of a bucket without a path, such as arn:aws:s3:::my-artifacts.",
    ),
    (
        "project_prefix",
        '"Nixl"',
        "at most 24 lower-case letters, digits and hyphens, a letter first and no hyphen at the end.",
    ),
    ("owner", '"${x}"', f"text of up to 256 {TAG_CHARACTERS}."),
    ("tags", '"a=b"', "a table of tags, in a variable KEY=VALUE,KEY=VALUE or JSON."),
    ("backend", "5", '"local", or a table (JSON in a variable) with the type "local", "s3" or "cloud".'),
    (
        "provider_version",
        '"latest"',
        'a constraint as Terraform writes it, such as ">= 5.100.0, < 7.0.0" or "~> 6.20".',
    ),
    ("check", '"errors"', '"off", "warn" or "error". Did you mean "error"?'),
    ("min_hours", "-1", "a whole number of hours from 0 to 4368."),
]


@pytest.mark.parametrize(("setting", "value", "must_be"), REFUSED_VALUES)
def test_a_refused_value_is_named_with_its_source_and_what_is_allowed(
    load_texts: Load, setting: str, value: str, must_be: str
) -> None:
    file = f"{setting} = {value}\n" + ("" if setting == "instance_type" else P5)
    loaded = load_texts({"dev": file})
    assert lines(loaded) == [f"FAIL {setting} = {value} (environments/dev.toml: {setting}) must be {must_be}"]
    assert loaded.findings[0].check == setting
    assert loaded.environments == ()


def test_the_arn_of_a_parameter_is_refused_with_the_reason(load_texts: Load) -> None:
    arn = "arn:aws:ssm:us-east-2:123456789012:parameter/team/zone"
    [line] = lines(load_texts({"dev": f'availability_zone_parameter = "{arn}"\n{G7E}'}))
    assert "is an ARN: give the parameter's name." in line
    assert "store its value in a parameter of this account" in line


def test_every_setting_refuses_something() -> None:
    assert {setting for setting, _, _ in REFUSED_VALUES} == set(SETTING_NAMES)


# The file of the environment dev, then all that is said about it.
FILES: list[tuple[str, ...]] = [
    (
        "",
        "FAIL dev: instance_type is missing. Set it in the environment's file or as "
        "NIXL_EFA_DEV_INSTANCE_TYPE: an EC2 instance type, such as g7e.12xlarge.",
    ),
    (
        P5 + "instanceTyp = 1\n",
        "FAIL instanceTyp is not a setting (environments/dev.toml: instanceTyp). Did you mean instance_type?",
    ),
    (P5 + "xyz = 1\n", f"FAIL xyz is not a setting (environments/dev.toml: xyz). {SETTINGS}"),
    (
        P5 + 'service_ports = [0, 80, "81"]',
        "FAIL service_ports[0] = 0 (environments/dev.toml: service_ports) must be a port from 1 to 65535.",
        'FAIL service_ports[2] = "81" (environments/dev.toml: service_ports) must be a port from 1 to 65535.',
    ),
    (
        P5 + 'service_cidrs = ["10.20.0.0", "fd00::/8", "10.20.0.1/16", "010.0.0.0/8"]',
        'FAIL service_cidrs[0] = "10.20.0.0" (environments/dev.toml: service_cidrs) must be an IPv4 block, such as '
        "10.20.0.0/16.",
        'FAIL service_cidrs[1] = "fd00::/8" (environments/dev.toml: service_cidrs) must be an IPv4 block, such as '
        "10.20.0.0/16.",
        'FAIL service_cidrs[2] = "10.20.0.1/16" (environments/dev.toml: service_cidrs) has bits set '
        "after its prefix: "
        "write 10.20.0.0/16.",
        'FAIL service_cidrs[3] = "010.0.0.0/8" (environments/dev.toml: service_cidrs) must be an IPv4 block, such '
        "as 10.20.0.0/16.",
    ),
    (
        P5 + 'service_cidrs = ["10.0.0.0/8", "10.0.0.0/8"]',
        'FAIL service_cidrs = ["10.0.0.0/8", "10.0.0.0/8"] (environments/dev.toml: service_cidrs) names block '
        "10.0.0.0/8 more than once.",
    ),
    (
        P5 + "service_ports = [80, 81, 80]",
        "FAIL service_ports = [80, 81, 80] (environments/dev.toml: service_ports) names port 80 more than "
        "once.",
    ),
    (
        P5 + 'nixl_version = "0.9.0"',
        'FAIL nixl_version = "0.9.0" (environments/dev.toml: nixl_version) is too old: EFA needs NIXL 1.0.0 '
        "or later.",
    ),
    (
        P5 + 'nixl_version = "1.0rc1"',
        'FAIL nixl_version = "1.0rc1" (environments/dev.toml: nixl_version) is too old: EFA needs NIXL 1.0.0 '
        "or later.",
    ),
    (
        P5 + 'provider_version = ">= 6.0"',
        'FAIL provider_version = ">= 6.0" (environments/dev.toml: provider_version) must exclude the '
        "versions before "
        "5.100.0 and those from 7.0.0 on, which these stacks don't support: write "
        '">= 5.100.0, < 7.0.0", or what lies within it, such as "~> 6.20".',
    ),
    (
        P5 + 'tags = { Cost = 5, "aws:x" = "1", "a$" = "1" }',
        "FAIL tags.Cost = 5 (environments/dev.toml: tags.Cost) must be a tag's value as text: up to 256 "
        f"{TAG_CHARACTERS}.",
        'FAIL tags has the key "aws:x" (environments/dev.toml: tags): it must not begin with "aws:", which '
        "AWS reserves.",
        'FAIL tags has the key "a$" (environments/dev.toml: tags): it must be a tag\'s key: up to 128 '
        f"{TAG_CHARACTERS}.",
    ),
    (
        P5 + 'tags = { Team = "a", team = "b" }',
        "FAIL dev: the tags Team and team differ only in case (environments/dev.toml: tags). IAM treats such keys "
        "as the same and refuses to create the nodes' role. Keep one of them.",
    ),
    (
        P5 + "[tags]\n" + "".join(f"k{number} = ''\n" for number in range(41)),
        'FAIL tags = {"k0": "", "k1": "", "k2": "", "k3": "", "k4": "", "k5": "", "k6": "", "k7": "", '
        '"k8": "", "k9": "",... (environments/dev.toml: tags) has 41 tags; at most 40 are allowed beside '
        "the stack's own.",
    ),
    (
        P5 + '[assume_role]\nrole = "x"\nexternal_id = "${x}"\nsession_name = "a"',
        f"FAIL assume_role.arn is missing (environments/dev.toml: assume_role.arn). It must be {ROLE}.",
        'FAIL assume_role.external_id = "${x}" (environments/dev.toml: assume_role.external_id) must be '
        "2 to 1224 letters, digits and _ + = , . @ : / -.",
        'FAIL assume_role.session_name = "a" (environments/dev.toml: assume_role.session_name) must be '
        "2 to 64 letters, digits and _ + = , . @ -.",
        "FAIL assume_role.role is not known (environments/dev.toml: assume_role.role). There are: arn, "
        "external_id, session_name.",
    ),
    (
        P5 + 'assume_role = "arn:aws:iam::1:role/x"',
        'FAIL assume_role.arn = "arn:aws:iam::1:role/x" (environments/dev.toml: assume_role.arn) must be '
        f"{ROLE}.",
    ),
    (
        P5
        + '[backend]\ntype = "s3"\nbucket = "states"\nencrypt = false\nkms_key_id = '
        + '"arn:aws:kms:us-east-2:123456789012:key/0d990263-018e-4e65-a703-eff731de951e"',
        "FAIL backend (environments/dev.toml: backend) has kms_key_id and encrypt = false: leave one of them out.",
    ),
    (
        P5 + 'backend = "s4"',
        'FAIL backend.type = "s4" (environments/dev.toml: backend.type) must be one of "local", "s3", "cloud".',
    ),
    (
        P5 + '[backend]\ntype = "locla"',
        'FAIL backend.type = "locla" (environments/dev.toml: backend.type) must be one of "local", "s3", '
        '"cloud". Did you mean "local"?',
    ),
    (
        P5 + '[backend]\nbucket = "states"',
        'FAIL backend.type is missing (environments/dev.toml: backend). It must be one of "local", "s3", "cloud".',
    ),
    (
        P5 + 'backend = "s3"',
        f"FAIL backend.bucket is missing (environments/dev.toml: backend.bucket). It must be {BUCKET}.",
    ),
    (
        P5
        + '[backend]\ntype = "s3"\nbucket = "My_Bucket"\nkey = "/x"\nbuckt = 1\nencrypt = "no"\nregion = "x"\n'
        'dynamodb_table = "t"\nuse_lockfile = 1',
        f'FAIL backend.bucket = "My_Bucket" (environments/dev.toml: backend.bucket) must be {BUCKET}.',
        'FAIL backend.key = "/x" (environments/dev.toml: backend.key) must be an object\'s key, such as '
        "nixl-efa/prod.tfstate.",
        'FAIL backend.region = "x" (environments/dev.toml: backend.region) must be the name of an AWS '
        "region, such as us-east-2.",
        'FAIL backend.dynamodb_table = "t" (environments/dev.toml: backend.dynamodb_table) must be a '
        "DynamoDB table's name: 3 to 255 letters, digits, underscores, hyphens and dots.",
        "FAIL backend.use_lockfile = 1 (environments/dev.toml: backend.use_lockfile) must be true or false.",
        'FAIL backend.encrypt = "no" (environments/dev.toml: backend.encrypt) must be true or false.',
        "FAIL backend.buckt is not known (environments/dev.toml: backend.buckt). Did you mean bucket?",
    ),
    (
        P5 + '[backend]\ntype = "cloud"\nhostname = "https://x"\norganization = "a b"\nworkspace = "w w"\n'
        'project = " "\ntags = [1]',
        'FAIL backend.hostname = "https://x" (environments/dev.toml: backend.hostname) must be a host\'s '
        "name, such as app.terraform.io.",
        'FAIL backend.organization = "a b" (environments/dev.toml: backend.organization) must be '
        f"{CLOUD_NAME}.",
        f'FAIL backend.workspace = "w w" (environments/dev.toml: backend.workspace) must be {CLOUD_NAME}.',
        'FAIL backend.project = " " (environments/dev.toml: backend.project) must be a project\'s name: at '
        "most 40 letters, digits, underscores, hyphens and spaces within.",
        f"FAIL backend.tags[0] = 1 (environments/dev.toml: backend.tags) must be {CLOUD_NAME}.",
    ),
    (
        P5 + '[backend]\ntype = "cloud"\norganization = "acme"',
        "FAIL backend (environments/dev.toml: backend) needs a workspace or a project (or tags).",
    ),
    (
        P5 + '[backend]\ntype = "cloud"\norganization = "acme"\nworkspace = "a"\ntags = ["b"]',
        "FAIL backend (environments/dev.toml: backend) has both workspace and tags: give one of them.",
    ),
    (
        P5 + 'region = "us-east-9"',
        'WARN dev: region = "us-east-9" (environments/dev.toml: region) is not one of the known regions. '
        "Did you mean us-east-2?",
    ),
    (
        P5 + 'availability_zone = "us-east-1a"',
        'FAIL dev: availability_zone = "us-east-1a" (environments/dev.toml: availability_zone) is not a zone '
        'of region = "us-east-2" (default). A zone of that region is called us-east-2a, for example.',
    ),
]


@pytest.mark.parametrize(("file", "expected"), [(file, told) for file, *told in FILES])
def test_what_is_said_about_a_file(said: Said, file: str, expected: list[str]) -> None:
    assert said({"dev": file}) == expected
