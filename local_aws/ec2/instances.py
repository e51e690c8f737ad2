"""Instances that hold interfaces by network card and device. The class name is moto's: its serializer reads it."""

import copy
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from moto.ec2.models.instances import Instance as MotoInstance
from moto.ec2.models.instances import InstanceState, StateReason
from moto.ec2.utils import random_eni_attach_id

from local_aws.ec2.cards import place_of, type_of
from local_aws.ec2.endings import ASKED_FOR, BY_CALL, Ending
from local_aws.inferred import lean_on
from local_aws.world import Cause, world

# "Terminated instances remain visible after termination (for approximately one hour)": EC2 API, TerminateInstances.
_STAYS_VISIBLE = timedelta(hours=1)
# DescribeInstances' filters that moto lacks, by the attribute that each looks at.
INSTANCE_FILTERS = {
    "instance-lifecycle": "lifecycle",
    "capacity-reservation-id": "capacity_reservation_id",
    "placement-group-name": "placement.group_name",
    "client-token": "client_token",
    "network-interface.network-interface-id": "attached.id",
    "network-interface.subnet-id": "attached.subnet_id",
    "network-interface.vpc-id": "attached.vpc_id",
    "network-interface.addresses.private-ip-address": "attached.private_ip_address",
    "network-interface.attachment.attachment-id": "attached.attachment_id",
}


def key_of(card: int, device: int) -> int:
    """The key in `nics`, which moto indexes by device alone: 0 stays the primary."""
    return card * 1000 + device


class Instance(MotoInstance):  # type: ignore[misc]
    """moto's instance, which also keeps and shows what was requested at launch."""

    def __init__(self, ec2_backend: Any, *args: Any, **kwargs: Any) -> None:
        self.capacity_reservation_id: str | None = None
        self.capacity_reservation_specification: dict[str, Any] = {"CapacityReservationPreference": "open"}
        self.block_devices: list[dict[str, Any]] = kwargs.get("block_devices", [])
        self.nics: dict[int, Any] = {}
        self.spot_instance_request_id: str | None = None
        self.spot_price = ""
        self.spot_request_open = True
        self.ended: datetime | None = None
        self.boots = 1
        super().__init__(ec2_backend, *args, **kwargs)
        self.launch_time = world().clock.now()
        self._runs_at = monotonic() + world().pending_seconds
        if world().pending_seconds:
            self._state = InstanceState()

    @property
    def attached(self) -> list[Any]:
        """Its interfaces, for the filters that look into them."""
        return list(self.nics.values())

    @property
    def security_groups(self) -> list[Any]:
        """The primary interface's groups, as EC2 shows them for the instance."""
        return self.nics[0].group_set if 0 in self.nics else []

    @security_groups.setter
    def security_groups(self, groups: list[Any]) -> None:
        if 0 in self.nics:
            self.nics[0]._group_set = list(groups)

    @property
    def state_reason(self) -> Any:
        """Why it ended. If nobody has seen this reason on AWS, the answer is marked as inferred."""
        if self._ending is not None and self._ending.inferred:
            lean_on(self._ending.inferred)
        return self._state_reason

    @state_reason.setter
    def state_reason(self, reason: Any) -> None:
        self._state_reason = reason
        self._ending: Ending | None = None

    def prep_nics(self, nic_spec: list[dict[str, Any]], **_kwargs: Any) -> None:
        """Attach the interfaces of a launch; the launch has already filled in all their values."""
        self.nics = {}
        for spec in nic_spec:
            card, device = place_of(spec)
            if spec.get("NetworkInterfaceId"):
                interface = self.ec2_backend.get_network_interface(spec["NetworkInterfaceId"])
                interface.delete_on_termination = bool(spec.get("DeleteOnTermination"))
            else:
                interface = self.ec2_backend.create_network_interface(
                    spec["SubnetId"],
                    spec.get("PrivateIpAddress"),
                    spec.get("PrivateIpAddresses"),
                    group_ids=spec.get("Groups"),
                    description=spec.get("Description"),
                    tags=spec.get("Tags"),
                    delete_on_termination=spec.get("DeleteOnTermination", True),
                    public_ip_auto_assign=bool(spec.get("AssociatePublicIpAddress")),
                    interface_type=type_of(spec),
                )
            self.attach_eni(interface, device, card)

    def attach_eni(self, eni: Any, device_index: int, network_card_index: int = 0) -> str:
        """Attach an interface at a card and device."""
        eni.instance = self
        eni.attachment_id = random_eni_attach_id()
        eni.attach_time = world().clock.now()
        eni.status = "in-use"
        eni.device_index = int(device_index)
        eni.network_card_index = network_card_index
        self.nics[key_of(network_card_index, int(device_index))] = eni
        return str(eni.attachment_id)

    def detach_eni(self, eni: Any) -> None:
        """Detach an interface; it can be used again."""
        self.nics = {key: other for key, other in self.nics.items() if other is not eni}
        eni.instance = eni.attachment_id = eni.attach_time = eni.device_index = None
        eni.network_card_index = 0
        eni.status = "available"

    def setup_defaults(self) -> None:
        """Create the volumes of the launch, with the values that plain moto drops."""
        for device in self.block_devices:
            ebs = device["Ebs"]
            volume = self.ec2_backend.create_volume(
                size=ebs.get("VolumeSize"),
                zone_name=self._placement.zone,
                snapshot_id=ebs.get("SnapshotId"),
                encrypted=bool(ebs.get("Encrypted")),
                kms_key_id=ebs.get("KmsKeyId"),
                volume_type=ebs.get("VolumeType"),
                iops=ebs.get("Iops"),
                throughput=ebs.get("Throughput"),
            )
            self.ec2_backend.attach_volume(
                volume.id, self.id, device["DeviceName"], ebs["DeleteOnTermination"]
            )

    @property
    def is_protected(self) -> bool:
        """Whether the API may not terminate it."""
        return bool(self.disable_api_termination) and self.state != "terminated"

    @property
    def ena_support(self) -> bool:
        """Every image here supports ENA."""
        return True

    @property
    def private_ip(self) -> str | None:
        """The primary interface's address; none once terminated."""
        return self.nics[0].private_ip_address if 0 in self.nics else None

    private_ip_address = private_ip

    @property
    def public_ip(self) -> str | None:
        """The primary interface's public address; none once terminated."""
        return self.nics[0].public_ip if 0 in self.nics else None

    public_ip_address = public_ip

    @property
    def private_dns_name(self) -> str:
        """The name of the primary address; empty once terminated."""
        return super().private_dns_name if 0 in self.nics else ""

    def start(self) -> Any:
        """Start, which is a launch again."""
        if self.state == "stopped":
            self.launch_time = world().clock.now()
            self.boots += 1
        return super().start()

    def reboot(self) -> None:
        """Reboot; an instance that does not run is not changed."""
        if self.state == "running":
            self.boots += 1
            super().reboot()

    def stop(self) -> Any:
        """Stop; a reserved slot comes back after a while."""
        self._free_slot()
        previous = super().stop()
        self._tell(BY_CALL, world().clock.now())
        return previous

    def terminate(self) -> Any:
        """Terminate: interfaces with delete_on_termination are deleted, the others are detached and stay.

        An instance that is already terminated does not change (EC2 API reference: the call is idempotent).
        """
        if self.state == "terminated":
            return copy.copy(self._state)
        self._free_slot()
        interfaces = list(self.nics.values())
        self.nics = {}
        previous = super().terminate()
        self.ended = world().clock.now()
        self._tell(BY_CALL, self.ended)
        for interface in interfaces:
            interface.stop()
            self.detach_eni(interface)
            if interface.delete_on_termination:
                self.ec2_backend.drop_network_interface(interface)
        return previous

    def end(self, ending: Ending, moment: datetime) -> None:
        """End it at `moment` without a call of its user."""
        if self.state == "terminated":
            return
        self.terminate()
        self.ended = moment
        self._tell(ending, moment)

    def end_as_asked(self, cause: Cause) -> None:
        """End it for a cause that a test has requested. A shutdown only stops it, if it was launched with that
        behavior."""
        now = world().clock.now()
        if cause == "shutdown" and self.instance_initiated_shutdown_behavior == "stop":
            if self.state != "terminated":
                self.stop()
                self._tell(ASKED_FOR[cause], now)
        else:
            self.end(ASKED_FOR[cause], now)

    def come_up(self) -> None:
        """Set it to running, after the launch was pending for the requested time."""
        if self.state == "pending" and monotonic() >= self._runs_at:
            self._state = InstanceState("running", 16)

    def is_forgotten(self, now: datetime) -> bool:
        """Whether EC2 no longer shows it."""
        return self.ended is not None and now >= self.ended + _STAYS_VISIBLE

    def _tell(self, ending: Ending, moment: datetime) -> None:
        self._reason = ending.transition_at(moment)
        self.state_reason = StateReason(ending.message, ending.code)
        self._ending = ending

    def _free_slot(self) -> None:
        if self.capacity_reservation_id and self._state.name in ("running", "pending"):
            reservation = self.ec2_backend.seen_reservations().get(self.capacity_reservation_id)
            if reservation is not None:
                reservation.returning.append(world().clock.now() + world().slot_return)
