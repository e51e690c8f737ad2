"""One node: its `aws_instance`, and the machine image that the nodes share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cdktf import ITerraformDependable, TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.instance import (
    Instance,
    InstanceLaunchTemplate,
    InstanceMetadataOptions,
    InstanceRootBlockDevice,
)
from constructs import Construct

from constructs_lib.access import NodeAccess
from constructs_lib.capacity import Reservation, market_options
from constructs_lib.efa_interfaces import EfaInterfaces
from constructs_lib.parameters import Parameter
from constructs_lib.terraform import frozen, named, part_name, token
from nixl_efa.launch import Launch
from nixl_efa.settings.values import IMAGE_ID

# The members of Volume that the settings can choose, with their names in `root_block_device`.
VOLUME_ARGUMENTS = {"gib": "volume_size", "iops": "iops", "throughput": "throughput"}


class Image(Construct):
    """The given image, else AWS's deep-learning image for the type's accelerator.

    The deep-learning image holds the accelerator's driver, EFA's software (libfabric under /opt/amazon/efa) and the SSM
    agent.

    ami_id is an id, or a token for the image that its parameter named when the pair was created. part: the role, when
    only the nodes of that role have this image; empty for the image of the environment.
    """

    def __init__(self, scope: Construct, id: str, *, launch: Launch, part: str = "") -> None:
        super().__init__(scope, id)
        if launch.image_id:
            self.ami_id: str = launch.image_id
            return
        newest = Parameter(
            self,
            part_name("newest_image", part),
            parameter=launch.image_parameter,
            holds="an image's id",
            form=IMAGE_ID,
            remedy="set ami_id to an image, or ami_parameter to another parameter.",
        )
        # AWS publishes a new image every week, and a newer version of this project may read another parameter. Neither
        # may replace running nodes.
        self.ami_id = frozen(
            self,
            part_name("image", part),
            newest.value,
            until={"parameter": launch.image_choice},
            preconditions=newest.preconditions,
        )


def image_part(launch: Launch) -> str:
    """The role whose nodes have an image of their own, because their type needs another image or because their own
    table names one; empty for nodes with the environment's image. Those keep it when another part of the environment
    changes."""
    whole = launch.whole or launch
    own = (launch.image_id, launch.image_parameter, launch.image_choice)
    return launch.role if own != (whole.image_id, whole.image_parameter, whole.image_choice) else ""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What the nodes of a request are made from.

    before: the resources that must exist before a node boots.
    """

    launch: Launch
    reservation: Reservation
    group_name: str | None
    access: NodeAccess
    image: Image
    before: Sequence[ITerraformDependable]


class Node(Construct):
    """A producer or a consumer. The launch template sets the interfaces; everything else is set here.

    launched_anew_by: addresses of the resources whose change replaces the node (see NodePair).
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        shared: Shared,
        interfaces: EfaInterfaces,
        user_data: str,
        launched_anew_by: Sequence[str],
        tags: Mapping[str, str],
    ) -> None:
        super().__init__(scope, id)
        launch = shared.launch
        instance = Instance(
            self,
            "instance",
            ami=shared.image.ami_id,
            instance_type=launch.instance_type,
            launch_template=InstanceLaunchTemplate(
                id=interfaces.template_id, version=interfaces.template_version
            ),
            instance_market_options=market_options(launch),
            capacity_reservation_specification=shared.reservation.specification,
            placement_group=shared.group_name,
            iam_instance_profile=shared.access.instance_profile,
            key_name=launch.key_name or None,
            user_data=user_data,
            metadata_options=InstanceMetadataOptions(
                http_endpoint=launch.metadata.http_endpoint,
                http_tokens=launch.metadata.http_tokens,
                http_put_response_hop_limit=launch.metadata.http_put_response_hop_limit,
                instance_metadata_tags=launch.metadata.instance_metadata_tags,
            ),
            root_block_device=InstanceRootBlockDevice(
                volume_type=launch.volume.kind,
                volume_size=launch.volume.gib,
                iops=launch.volume.iops,
                throughput=launch.volume.throughput,
                encrypted=launch.volume.encrypted,
                kms_key_id=launch.volume.kms_key_id or None,
                delete_on_termination=launch.volume.delete_on_termination,
                tags=dict(tags),
            ),
            tags=dict(tags),
            depends_on=list(shared.before),
            lifecycle=TerraformResourceLifecycle(
                # A plan that would replace or destroy the node fails. EC2's termination protection is not enough: the
                # provider switches it off before it terminates an instance (aws_instance, provider 5.100).
                prevent_destroy=launch.protect_nodes or None,
                # instance_market_options: providers before 6.53 don't read "capacity-block" back and would replace
                # the node at every plan (hashicorp/terraform-provider-aws, pull request 48701).
                # launch_template, user_data: a new template version for a changed tag, or a newer text of the boot
                # scripts, must not replace a node. It must not stop and start it either: in a block, a stopped node can
                # lose its slot.
                # Members of the volume that the user did not choose: a new default changes no existing volume.
                # Changes that must replace a node are in `launched_anew_by`. With fixed capacity the old node is always
                # destroyed before the new one is created: a slot is free again only some minutes after its old node has
                # ended (EC2 user guide, capacity-blocks-launch).
                ignore_changes=[
                    "instance_market_options",
                    "launch_template",
                    "user_data",
                    *(f"root_block_device[0].{VOLUME_ARGUMENTS[name]}" for name in launch.volume.defaults),
                ],
                replace_triggered_by=list(launched_anew_by),
            ),
        )
        named(instance, id)
        self.instance_id: str = token("aws_instance", id, "id")
