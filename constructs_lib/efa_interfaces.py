"""A node's network interfaces: the primary one, created before the node, and the EFA interfaces of its launch template.

EFA interfaces must be given at launch: they can't be attached to a running instance (EC2 user guide, efa). The
provider's `aws_instance` can't describe them all: its `network_interface` is deprecated from 6.10 on, and its
replacement attaches interfaces after boot (hashicorp/terraform-provider-aws, issue 44355). A launch template can.
"""

from collections.abc import Mapping

from cdktf_cdktf_provider_aws.eip import Eip
from cdktf_cdktf_provider_aws.launch_template import LaunchTemplate, LaunchTemplateTagSpecifications
from cdktf_cdktf_provider_aws.network_interface import NetworkInterface
from constructs import Construct

from constructs_lib.terraform import NAME_STAYS, named, token
from nixl_efa.efa_layout import Interface


class EfaInterfaces(Construct):
    """address, public_address ("" without an Elastic IP), template_id and template_version are tokens.

    The primary interface is a resource of its own, so that all nodes' addresses are known before any node boots, and
    stay the same when a node is replaced.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        node: str,
        interfaces: tuple[Interface, ...],
        subnet_id: str,
        security_group_id: str,
        elastic_ip: bool,
        network_border_group: str,
        tags: Mapping[str, str],
    ) -> None:
        super().__init__(scope, id)
        primary, *others = interfaces
        interface = NetworkInterface(
            self,
            "primary",
            description=f"{tags['Name']}: primary interface",
            interface_type=primary.interface_type if primary.is_efa else None,
            subnet_id=subnet_id,
            security_groups=[security_group_id],
            tags=dict(tags),
        )
        named(interface, node)
        interface_id = token("aws_network_interface", node, "id")
        self.address: str = token("aws_network_interface", node, "private_ip")
        self.public_address: str = ""
        if elastic_ip:
            # AWS gives no automatic public address to an instance with more than one interface (EC2 user guide,
            # using-instance-addressing), and Session Manager needs a way out.
            address = Eip(
                self,
                "address",
                domain="vpc",
                network_interface=interface_id,
                network_border_group=network_border_group,
                tags=dict(tags),
            )
            named(address, node)
            self.public_address = token("aws_eip", node, "public_ip")
        template = LaunchTemplate(
            self,
            "template",
            name=tags["Name"],
            description=f"Network interfaces of {tags['Name']}",
            # The provider's default_tags are not set on resources that a launch template creates.
            tag_specifications=[
                LaunchTemplateTagSpecifications(resource_type="network-interface", tags=dict(tags))
            ],
            lifecycle=NAME_STAYS,
        )
        # As plain values in Terraform's form: typed structs for 33 interfaces take longer than the rest of a stack.
        template.add_override(
            "network_interfaces",
            [
                {
                    "network_interface_id": interface_id,
                    "network_card_index": primary.network_card_index,
                    "device_index": primary.device_index,
                },
                *(_at_launch(efa, subnet_id, security_group_id) for efa in others),
            ],
        )
        named(template, node)
        self.template_id: str = token("aws_launch_template", node, "id")
        self.template_version: str = token("aws_launch_template", node, "latest_version")


def _at_launch(interface: Interface, subnet_id: str, security_group_id: str) -> dict[str, object]:
    return {
        "network_card_index": interface.network_card_index,
        "device_index": interface.device_index,
        "interface_type": interface.interface_type,
        "subnet_id": subnet_id,
        "security_groups": [security_group_id],
        "delete_on_termination": True,
    }
