"""Every action that was added is called, and its answer compared with botocore's model (see shapes.py)."""

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.model import OperationModel
from botocore.session import get_session

from local_aws import LocalAws
from tests.local_aws.conftest import on_demand, show
from tests.local_aws.shapes import faults_of


class Account:
    """What the calls below act on: a pair's parts, made as they are first asked for."""

    def __init__(
        self, aws: LocalAws, client: Callable[..., Any], image: str, subnet: str, block: Any
    ) -> None:
        self.aws, self.image, self.subnet, self.buy = aws, image, subnet, block
        self.ec2, self.ssm, self.quotas = client("ec2"), client("ssm"), client("service-quotas")
        self.east = client("ec2", region="us-east-1")
        self.iam = client("iam", checked=False)

    def plain(self) -> dict[str, Any]:
        return {"ImageId": self.image, "InstanceType": "g7e.8xlarge", "SubnetId": self.subnet}

    def instance(self, **more: Any) -> str:
        answer = self.ec2.run_instances(MinCount=1, MaxCount=1, **self.plain(), **more)
        return str(answer["Instances"][0]["InstanceId"])

    def parameter(self) -> Any:
        return self.ssm.put_parameter(Name="/team/name", Value="text", Type="SecureString")

    def managed(self) -> str:
        self.iam.create_instance_profile(InstanceProfileName="node")
        return self.instance(IamInstanceProfile={"Name": "node"})

    def interface(self, kind: str = "efa-only") -> Any:
        return self.ec2.create_network_interface(SubnetId=self.subnet, InterfaceType=kind)["NetworkInterface"]

    def template(self) -> str:
        answer = self.ec2.create_launch_template(
            LaunchTemplateName="n", LaunchTemplateData={"UserData": "dA=="}
        )
        return str(answer["LaunchTemplate"]["LaunchTemplateId"])

    def reservation(self) -> str:
        return on_demand(self.ec2)["CapacityReservationId"]

    def lend(self) -> Any:
        return self.ec2.create_interruptible_capacity_reservation_allocation(
            CapacityReservationId=self.reservation(), InstanceCount=1
        )

    def active_block(self) -> str:
        bought = self.buy()
        self.aws.clock.set(bought["StartDate"])
        return str(bought["CapacityReservationId"])

    def status(self) -> None:
        offered = self.ec2.describe_capacity_block_offerings(
            UltraserverType="u-trn2x64", CapacityDurationHours=24
        )["CapacityBlockOfferings"]
        soonest = min(offered, key=lambda one: one["StartDate"])
        bought = self.ec2.purchase_capacity_block(
            CapacityBlockOfferingId=soonest["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX"
        )
        self.aws.clock.set(bought["CapacityBlocks"][0]["StartDate"])
        assert self.ec2.describe_capacity_block_status()["CapacityBlockStatuses"]

    def extension(self, block: str) -> str:
        answer = self.ec2.describe_capacity_block_extension_offerings(
            CapacityReservationId=block, CapacityBlockExtensionDurationHours=24
        )
        return str(answer["CapacityBlockExtensionOfferings"][0]["CapacityBlockExtensionOfferingId"])

    def extend(self) -> Any:
        block = self.active_block()
        answer = self.ec2.purchase_capacity_block_extension(
            CapacityReservationId=block, CapacityBlockExtensionOfferingId=self.extension(block)
        )
        self.aws.clock.advance(timedelta(hours=1))
        return answer

    def command(self) -> dict[str, str]:
        instance = self.managed()
        sent = self.ssm.send_command(InstanceIds=[instance], DocumentName="AWS-RunShellScript")
        return {"CommandId": sent["Command"]["CommandId"], "InstanceId": instance}

    def spot(self) -> list[str]:
        instance = self.instance(InstanceMarketOptions={"MarketType": "spot"})
        return [show(self.ec2, instance)["SpotInstanceRequestId"]]

    def exclusion(self) -> str:
        answer = self.ec2.create_vpc_block_public_access_exclusion(
            SubnetId=self.subnet, InternetGatewayExclusionMode="allow-egress"
        )
        return str(answer["VpcBlockPublicAccessExclusion"]["ExclusionId"])

    def attach(self) -> None:
        instance = self.instance()
        interface = self.interface("efa")["NetworkInterfaceId"]
        self.ec2.stop_instances(InstanceIds=[instance])
        self.ec2.attach_network_interface(NetworkInterfaceId=interface, InstanceId=instance, DeviceIndex=1)

    def change_attachment(self) -> None:
        self.instance()
        (primary,) = self.ec2.describe_network_interfaces()["NetworkInterfaces"]
        self.ec2.modify_network_interface_attribute(
            NetworkInterfaceId=primary["NetworkInterfaceId"],
            Attachment={"AttachmentId": primary["Attachment"]["AttachmentId"], "DeleteOnTermination": True},
        )


CALLS: dict[str, Callable[[Account], Any]] = {
    "run_instances": lambda it: it.instance(),
    "create_launch_template": lambda it: it.template(),
    "create_launch_template_version": lambda it: it.ec2.create_launch_template_version(
        LaunchTemplateId=it.template(), LaunchTemplateData={"InstanceType": "p5.48xlarge"}
    ),
    "describe_launch_templates": lambda it: (it.template(), it.ec2.describe_launch_templates()),
    "create_network_interface": lambda it: it.interface(),
    "describe_network_interfaces": lambda it: (
        it.interface(),
        it.instance(),
        it.ec2.describe_network_interfaces(),
    ),
    "attach_network_interface": lambda it: it.attach(),
    "modify_network_interface_attribute": lambda it: it.change_attachment(),
    "describe_instance_types": lambda it: it.ec2.describe_instance_types(InstanceTypes=["p5.48xlarge"]),
    "create_placement_group": lambda it: it.ec2.create_placement_group(GroupName="g", Strategy="spread"),
    "describe_placement_groups": lambda it: (
        it.ec2.create_placement_group(GroupName="g", Strategy="partition"),
        it.ec2.describe_placement_groups(),
    ),
    "delete_placement_group": lambda it: (
        it.ec2.create_placement_group(GroupName="g"),
        it.ec2.delete_placement_group(GroupName="g"),
    ),
    "create_capacity_reservation": lambda it: it.reservation(),
    "describe_capacity_reservations": lambda it: (
        it.reservation(),
        it.active_block(),
        it.ec2.describe_capacity_reservations(),
    ),
    "modify_capacity_reservation": lambda it: it.ec2.modify_capacity_reservation(
        CapacityReservationId=it.reservation(), InstanceCount=2
    ),
    "cancel_capacity_reservation": lambda it: it.ec2.cancel_capacity_reservation(
        CapacityReservationId=it.reservation()
    ),
    "get_capacity_reservation_usage": lambda it: it.ec2.get_capacity_reservation_usage(
        CapacityReservationId=it.reservation()
    ),
    "create_interruptible_capacity_reservation_allocation": lambda it: it.lend(),
    "update_interruptible_capacity_reservation_allocation": lambda it: (
        it.ec2.update_interruptible_capacity_reservation_allocation(
            CapacityReservationId=it.lend()["SourceCapacityReservationId"], TargetInstanceCount=0
        )
    ),
    "describe_capacity_block_offerings": lambda it: it.ec2.describe_capacity_block_offerings(
        InstanceType="p5.48xlarge", InstanceCount=2, CapacityDurationHours=24, MaxResults=100
    ),
    "purchase_capacity_block": lambda it: it.buy(),
    "describe_regions": lambda it: it.ec2.describe_regions(AllRegions=True),
    "describe_capacity_blocks": lambda it: (it.buy(), it.ec2.describe_capacity_blocks()),
    "describe_capacity_block_status": lambda it: it.status(),
    "describe_instance_topology": lambda it: (it.instance(), it.ec2.describe_instance_topology()),
    "describe_capacity_reservation_topology": lambda it: (
        it.active_block(),
        it.ec2.describe_capacity_reservation_topology(),
    ),
    "describe_availability_zones": lambda it: it.ec2.describe_availability_zones(AllAvailabilityZones=True),
    "modify_availability_zone_group": lambda it: it.east.modify_availability_zone_group(
        GroupName="us-east-1-dfw-2", OptInStatus="opted-in"
    ),
    "allocate_address": lambda it: (it.ec2.allocate_address(Domain="vpc"), it.ec2.describe_addresses()),
    "describe_capacity_block_extension_offerings": lambda it: it.extension(it.active_block()),
    "purchase_capacity_block_extension": lambda it: it.extend(),
    "describe_capacity_block_extension_history": lambda it: (
        it.extend(),
        it.ec2.describe_capacity_block_extension_history(),
    ),
    "describe_spot_instance_requests": lambda it: it.ec2.describe_spot_instance_requests(
        SpotInstanceRequestIds=it.spot()
    ),
    "cancel_spot_instance_requests": lambda it: it.ec2.cancel_spot_instance_requests(
        SpotInstanceRequestIds=it.spot()
    ),
    "describe_spot_price_history": lambda it: it.ec2.describe_spot_price_history(
        InstanceTypes=["p5.48xlarge"]
    ),
    "get_spot_placement_scores": lambda it: it.ec2.get_spot_placement_scores(
        InstanceTypes=["p5.48xlarge"],
        TargetCapacity=2,
        SingleAvailabilityZone=True,
        RegionNames=["us-east-2"],
    ),
    "get_parameters_by_path": lambda it: it.ssm.get_parameters_by_path(Path="/aws/service", Recursive=True),
    "get_parameter": lambda it: (it.parameter(), it.ssm.get_parameter(Name="/team/name")),
    "put_parameter": lambda it: it.parameter(),
    "start_session": lambda it: it.ssm.start_session(Target=it.managed()),
    "describe_instance_information": lambda it: (it.managed(), it.ssm.describe_instance_information()),
    "send_command": lambda it: it.command(),
    "cancel_command": lambda it: it.ssm.cancel_command(CommandId=it.command()["CommandId"]),
    "get_command_invocation": lambda it: it.ssm.get_command_invocation(**it.command()),
    "get_service_quota": lambda it: it.quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-417A185B"),
    "get_aws_default_service_quota": lambda it: it.quotas.get_aws_default_service_quota(
        ServiceCode="ec2", QuotaCode="L-417A185B"
    ),
    "get_ebs_default_kms_key_id": lambda it: it.ec2.get_ebs_default_kms_key_id(),
    "modify_ebs_default_kms_key_id": lambda it: it.ec2.modify_ebs_default_kms_key_id(KmsKeyId="alias/mine"),
    "reset_ebs_default_kms_key_id": lambda it: it.ec2.reset_ebs_default_kms_key_id(),
    "get_allowed_images_settings": lambda it: (
        it.ec2.replace_image_criteria_in_allowed_images_settings(
            ImageCriteria=[{"ImageProviders": ["amazon"]}]
        ),
        it.ec2.get_allowed_images_settings(),
    ),
    "enable_allowed_images_settings": lambda it: it.ec2.enable_allowed_images_settings(
        AllowedImagesSettingsState="audit-mode"
    ),
    "disable_allowed_images_settings": lambda it: it.ec2.disable_allowed_images_settings(),
    "replace_image_criteria_in_allowed_images_settings": lambda it: (
        it.ec2.replace_image_criteria_in_allowed_images_settings(ImageCriteria=[])
    ),
    "describe_vpc_block_public_access_options": lambda it: it.ec2.describe_vpc_block_public_access_options(),
    "modify_vpc_block_public_access_options": lambda it: it.ec2.modify_vpc_block_public_access_options(
        InternetGatewayBlockMode="block-ingress"
    ),
    "describe_vpc_block_public_access_exclusions": lambda it: (
        it.exclusion(),
        it.ec2.describe_vpc_block_public_access_exclusions(),
    ),
    "create_vpc_block_public_access_exclusion": lambda it: it.exclusion(),
    "delete_vpc_block_public_access_exclusion": lambda it: it.ec2.delete_vpc_block_public_access_exclusion(
        ExclusionId=it.exclusion()
    ),
    "simulate_principal_policy": lambda it: it.iam.simulate_principal_policy(
        PolicySourceArn="arn:aws:iam::123456789012:user/moto", ActionNames=["iam:PassRole"]
    ),
    "list_service_quotas": lambda it: it.quotas.list_service_quotas(ServiceCode="ec2"),
    "list_aws_default_service_quotas": lambda it: it.quotas.list_aws_default_service_quotas(
        ServiceCode="ec2"
    ),
}


@pytest.mark.parametrize("action", CALLS)
def test_the_answer_is_in_the_words_of_botocores_model(
    aws: LocalAws, client: Any, image: str, subnet: str, block: Any, action: str
) -> None:
    CALLS[action](Account(aws, client, image, subnet, block))
    name = "".join(part.capitalize() for part in action.split("_")).replace("Aws", "AWS")
    assert name in aws.calls.actions()
    assert [call for call in aws.calls.all() if call.status >= 400] == []


def test_no_added_action_is_left_out(aws: LocalAws) -> None:
    from local_aws.ec2.responses import Ec2
    from local_aws.iam import Iam
    from local_aws.quotas import ServiceQuotas
    from local_aws.ssm import Ssm

    ours = [kind for top in (Ec2, Ssm, ServiceQuotas, Iam) for kind in inspect.getmro(top)]
    added = {
        name
        for kind in ours
        if kind.__module__.startswith("local_aws.")
        for name, value in vars(kind).items()
        if inspect.isfunction(value) and not name.startswith("_") and name != "call_action"
    }
    assert added == set(CALLS)


ENI = "eni-00000000000000000"
DRY: dict[str, dict[str, Any]] = {
    "describe_network_interfaces": {},
    "describe_placement_groups": {},
    "describe_capacity_reservations": {},
    "describe_capacity_block_offerings": {"InstanceType": "p5.48xlarge", "CapacityDurationHours": 24},
    "describe_capacity_blocks": {},
    "describe_capacity_block_extension_history": {},
    "attach_network_interface": {"NetworkInterfaceId": ENI, "InstanceId": "i-0", "DeviceIndex": 1},
}


@pytest.mark.parametrize("action", DRY)
def test_a_dry_run_that_would_have_worked_says_so(client: Any, refused: Any, action: str) -> None:
    with refused("DryRunOperation"):
        getattr(client("ec2"), action)(DryRun=True, **DRY[action])


def test_a_dry_run_changes_no_reservation_block_or_interface(
    aws: LocalAws, client: Any, image: str, subnet: str, block: Any, refused: Any
) -> None:
    account = Account(aws, client, image, subnet, block)
    plain, bought = account.reservation(), account.active_block()
    interface = account.interface()["NetworkInterfaceId"]
    for call, given in (
        (account.ec2.modify_capacity_reservation, {"CapacityReservationId": plain, "InstanceCount": 9}),
        (account.ec2.cancel_capacity_reservation, {"CapacityReservationId": plain}),
        (
            account.ec2.describe_capacity_block_extension_offerings,
            {"CapacityReservationId": bought, "CapacityBlockExtensionDurationHours": 24},
        ),
        (
            account.ec2.modify_network_interface_attribute,
            {"NetworkInterfaceId": interface, "Description": {"Value": "changed"}},
        ),
    ):
        with refused("DryRunOperation"):
            call(DryRun=True, **given)
    found = account.ec2.describe_capacity_reservations(CapacityReservationIds=[plain])["CapacityReservations"]
    assert (found[0]["State"], found[0]["TotalInstanceCount"]) == ("active", 1)
    (shown,) = account.ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert shown["Description"] == ""


def operation(service: str, name: str) -> OperationModel:
    return get_session().get_service_model(service).operation_model(name)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<a><capacityReservation><state>activ</state></capacityReservation></a>", "'activ' is not one of"),
        ("<a><capacityReservation><State>active</State></capacityReservation></a>", "unknown member State"),
        ("<a><capacityReservation><startDate>soon</startDate></capacityReservation></a>", "is no timestamp"),
        (
            "<a><capacityReservation><totalInstanceCount>two</totalInstanceCount></capacityReservation></a>",
            "is no integer",
        ),
        (
            "<a><capacityReservation><ebsOptimized>True</ebsOptimized></capacityReservation></a>",
            "is no boolean",
        ),
        ("<a><capacityReservation><tagSet><tag/></tagSet></capacityReservation></a>", "a list of item holds"),
    ],
)
def test_the_check_sees_what_botocores_parser_lets_pass(body: str, fault: str) -> None:
    (found,) = faults_of(operation("ec2", "CreateCapacityReservation"), body.encode())
    assert fault in found


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('{"Quota": {"Value": "many"}}', "is no double"),
        ('{"quota": {}}', "unknown member quota"),
        ('{"Quota": []}', "is no structure"),
    ],
)
def test_the_check_sees_it_in_json_too(body: str, fault: str) -> None:
    (found,) = faults_of(operation("service-quotas", "GetServiceQuota"), body.encode())
    assert fault in found
