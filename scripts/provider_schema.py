"""Writes tests/terraform/provider_schema.json anew: what the newest AWS provider takes, of the kinds that stacks use.

Usage: python scripts/provider_schema.py    from the repository's root; needs pip and 400 MB below $TMPDIR.

The provider itself is not needed. Its arguments and attributes are those of the newest bindings, which were generated
from its schema; what is deprecated in it is read from Pulumi's package for AWS, which was generated from it, too.
"""

import ast
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

DATA = Path("tests/terraform/provider_schema.json")
BINDINGS, PULUMI = "cdktn-provider-aws", "pulumi-aws"
# The kinds that the stacks use, and the module of Pulumi's package that is about the same.
KINDS = {
    "resource": {
        "aws_eip": "ec2/eip",
        "aws_iam_instance_profile": "iam/instance_profile",
        "aws_iam_role": "iam/role",
        "aws_iam_role_policy": "iam/role_policy",
        "aws_instance": "ec2/instance",
        "aws_launch_template": "ec2/launch_template",
        "aws_network_interface": "ec2/network_interface",
        "aws_placement_group": "ec2/placement_group",
        "aws_s3_bucket": "s3/bucket",
        "aws_s3_bucket_policy": "s3/bucket_policy",
        "aws_s3_bucket_public_access_block": "s3/bucket_public_access_block",
        "aws_s3_bucket_server_side_encryption_configuration": "s3/bucket_server_side_encryption_configuration",
        "aws_s3_object": "s3/bucket_objectv2",
        "aws_security_group": "ec2/security_group",
        "aws_vpc_security_group_egress_rule": "vpc/security_group_egress_rule",
        "aws_vpc_security_group_ingress_rule": "vpc/security_group_ingress_rule",
    },
    "data": {
        "aws_ec2_instance_type_offerings": "ec2/get_instance_type_offerings",
        "aws_partition": "get_partition",
        "aws_security_groups": "ec2/get_security_groups",
        "aws_ssm_parameters_by_path": "ssm/get_parameters_by_path",
        "aws_subnet": "ec2/get_subnet",
        "aws_subnets": "ec2/get_subnets",
        "aws_vpc": "ec2/get_vpc",
        "aws_vpcs": "ec2/get_vpcs",
    },
    "provider": {"aws": "provider"},
}

# The schema of one kind or block: an argument's name to "", a block's to its own schema.
Schema = dict[str, Any]


def main() -> None:
    """Writes the file."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["download", "--quiet", "--no-deps", f"--dest={folder}", BINDINGS, PULUMI]
        subprocess.run([sys.executable, "-m", "pip", *command, "--disable-pip-version-check"], check=True)
        bindings, pulumi = (
            next(Path(folder).glob(f"{name.replace('-', '_')}-*.whl")) for name in (BINDINGS, PULUMI)
        )
        types = jsii_types(bindings)
        with zipfile.ZipFile(pulumi) as archive:
            found = {
                place: {
                    kind: described(place, kind, module, types, archive) for kind, module in kinds.items()
                }
                for place, kinds in KINDS.items()
            }
    version = re.search(r"/hashicorp/aws/([\d.]+)/", json.dumps(types["provider.AwsProvider"]))
    document = {
        "version": version[1] if version else "",
        "from": [bindings.name.rpartition("-py")[0], pulumi.name.rpartition("-py")[0]],
        **found,
    }
    DATA.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def jsii_types(wheel: Path) -> Mapping[str, Any]:
    """The types of the bindings by name, "instance.InstanceConfig"."""
    with zipfile.ZipFile(wheel) as archive:
        package = next(name for name in archive.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(archive.read(package))) as files:
            assembly = files.extractfile("package/.jsii")
            types: dict[str, Any] = json.load(assembly)["types"] if assembly else {}
    return {name.partition(".")[2]: one for name, one in types.items()}


def described(
    place: str, kind: str, module: str, types: Mapping[str, Any], archive: zipfile.ZipFile
) -> dict[str, Any]:
    """Arguments, attributes, and what of both is deprecated, by its path ("root_block_device.iops")."""
    words = "".join(part.capitalize() for part in kind.removeprefix("aws_").split("_"))
    name = {"resource": words, "data": f"DataAws{words}", "provider": "AwsProvider"}[place]
    submodule = "provider" if place == "provider" else name[0].lower() + name[1:]
    if f"{submodule}.{name}" not in types:
        name += "A"  # another kind has a block of this name
    schema = block(types[f"{submodule}.{name}Config"], types)
    attributes = sorted(
        one["name"]
        for one in types[f"{submodule}.{name}"]["properties"]
        if not one.get("static") and not one["name"].endswith("Input")
    )
    return {
        "arguments": schema,
        "attributes": [] if place == "provider" else attributes,
        "deprecated": dict(deprecated(module, [*paths(schema), *map(snake, attributes)], archive)),
    }


def block(struct: Mapping[str, Any], types: Mapping[str, Any]) -> Schema:
    """The arguments of a block; the name in Terraform stands at the end of the link to the provider's page."""
    found: Schema = {}
    for one in struct["properties"]:
        linked = re.search(r"/docs(?:/[\w/-]+)?#(\w+)", json.dumps(one.get("docs", {})))
        # Of the endpoints there are some three hundred, and the stacks give none.
        if linked and linked[1] != "endpoints":
            inner = re.search(r'"fqn": "@cdktn/provider-aws\.([\w.]+)"', json.dumps(one["type"]))
            found[linked[1]] = block(types[inner[1]], types) if inner else ""
    return found


def paths(schema: Schema, before: str = "") -> Iterator[str]:
    """The paths of all arguments and blocks."""
    for name, inner in schema.items():
        yield before + name
        if inner:
            yield from paths(inner, f"{before}{name}.")


def deprecated(module: str, known: list[str], archive: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    """The paths that Pulumi's package marks as deprecated, with what it says of them."""
    folder, _, file = module.rpartition("/")
    root = f"pulumi_aws/{folder}/" if folder else "pulumi_aws/"
    own = ast.parse(archive.read(f"{root}{file}.py"))
    # The last class of a resource's file is the resource, of a data source's AwaitableGet...Result.
    named = [node.name for node in own.body if isinstance(node, ast.ClassDef)][-1]
    prefix = re.sub(r"^Awaitable|Result$", "", named)
    marked: dict[str, str] = {}
    for tree in (own, *(ast.parse(archive.read(f"{root}{name}.py")) for name in ("_inputs", "outputs"))):
        for node in [one for one in tree.body if isinstance(one, ast.ClassDef)]:
            inner = "" if tree is own else re.sub(r"(Args|Result)$", "", node.name.removeprefix(prefix))
            if tree is own or (node.name.startswith(prefix) and inner):
                marked |= {plain(inner) + plain(name): text for name, text in marks(node)}
    for path in sorted(set(known)):
        if text := marked.get(plain(path)):
            yield path, text


def marks(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """The properties of a class that are decorated as deprecated, and the text."""
    for member in [one for one in node.body if isinstance(one, ast.FunctionDef)]:
        for call in [one for one in member.decorator_list if isinstance(one, ast.Call)]:
            if ast.unparse(call.func).endswith("deprecated"):
                yield member.name, str(ast.literal_eval(call.args[0]))


def plain(name: str) -> str:
    """A name as all three agree on it: Pulumi writes lists in the plural and blocks in the singular."""
    return re.sub(r"[_.s]", "", name.lower().replace("ies", "y"))


def snake(name: str) -> str:
    """privateIp -> private_ip."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


if __name__ == "__main__":
    main()
