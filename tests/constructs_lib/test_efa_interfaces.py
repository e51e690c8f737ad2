"""Interfaces of the launch: which card and device, which type, who makes them, their tags."""

import pytest

from nixl_efa import instance_types
from nixl_efa.efa_layout import layout
from tests.synthesis import resources, synthesize

TYPES = [
    "p5.48xlarge",
    "p6-b300.48xlarge",
    "p5en.48xlarge",
    "g7e.48xlarge",
    "g7e.8xlarge",
    "g7e.2xlarge",
    "hpc6id.32xlarge",
]


@pytest.mark.parametrize("instance_type", TYPES)
def test_the_launch_template_gives_every_interface_its_card_and_device(instance_type: str) -> None:
    stack = synthesize("dev", instance_type=instance_type)
    primary, *others = layout(instance_types.find(instance_type))

    for name, template in resources(stack, "aws_launch_template").items():
        first, *rest = template["network_interfaces"]
        assert first == {
            "network_interface_id": f"${{aws_network_interface.{name}.id}}",
            "network_card_index": 0,
            "device_index": 0,
        }
        assert [(one["network_card_index"], one["device_index"], one["interface_type"]) for one in rest] == [
            (one.network_card_index, one.device_index, one.interface_type) for one in others
        ]
        for interface in rest:
            assert interface["delete_on_termination"] is True
            assert interface["subnet_id"] == "${terraform_data.subnet.output.value}"
            assert interface["security_groups"] == ["${aws_security_group.pair.id}"]
    for interface in resources(stack, "aws_network_interface").values():
        assert interface.get("interface_type") == (primary.interface_type if primary.is_efa else None)


def test_instances_volumes_and_every_interface_carry_the_tags() -> None:
    stack = synthesize("dev", owner="team-kv", tags={"CostCenter": "42"})
    expected = {
        "Project": "nixl-efa",
        "Environment": "dev",
        "ManagedBy": "cdktf",
        "Owner": "team-kv",
        "CostCenter": "42",
        "Name": "nixl-efa-dev-producer",
        "Role": "producer",
        "nixl-efa:stack": "nixl-efa-dev local",
    }

    instance = resources(stack, "aws_instance")["producer"]
    assert instance["tags"] == expected
    assert instance["root_block_device"]["tags"] == expected
    assert resources(stack, "aws_network_interface")["producer"]["tags"] == expected
    template = resources(stack, "aws_launch_template")["producer"]
    assert template["tag_specifications"] == [{"resource_type": "network-interface", "tags": expected}]


@pytest.mark.parametrize(("elastic_ip", "count"), [(True, 2), (False, 0)])
def test_each_node_has_an_elastic_ip_unless_it_is_turned_off(elastic_ip: bool, count: int) -> None:
    stack = synthesize("dev", elastic_ip=elastic_ip)

    assert len(resources(stack, "aws_eip")) == count
    address = stack["output"]["producer_public_ip"]["value"]
    assert address == ("${aws_eip.producer.public_ip}" if elastic_ip else "")
