"""All questions of one check, begun side by side in threads, each waiting only for those that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from nixl_efa.account import Account, caller
from nixl_efa.aws_errors import explain, refusal_of
from nixl_efa.capacity.buyer import lock_region, own_endpoint
from nixl_efa.capacity.extension import Extension, extensions_of, newest
from nixl_efa.capacity.journal import Journal, SharedJournal, open_entries
from nixl_efa.capacity.judge import is_well_formed
from nixl_efa.capacity.order import Entry, Place
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.checks.facts import (
    Answer,
    BlockHealth,
    DryRun,
    Elsewhere,
    Facts,
    Image,
    LocalZone,
    Named,
    NoAnswer,
    Quota,
    Subnet,
    Vpc,
)
from nixl_efa.checks.gather import launch as named
from nixl_efa.checks.gather import network, reservation, usage
from nixl_efa.checks.gather.names import in_ec2, in_iam
from nixl_efa.checks.quota_codes import ELASTIC_IPS, vcpu_quotas
from nixl_efa.clock import Clock
from nixl_efa.failure import Failure
from nixl_efa.files import state_directory
from nixl_efa.launch import Launch
from nixl_efa.refusals import denial, names_cause, said
from nixl_efa.ultra_servers import is_ultra_server

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from nixl_efa.aws import Clients

T = TypeVar("T")

# More than there are questions: one that waits for another one must not keep it from a thread.
_THREADS = 40


class Gatherer:
    """Asks for one launch's surroundings. A context manager: its threads end with the block."""

    def __init__(
        self,
        launch: Launch,
        clients: Clients,
        environ: Mapping[str, str],
        clock: Clock,
        *,
        has_state: bool = False,
    ) -> None:
        """has_state: the stack's state is read, too, which says whose the things with its names are."""
        self._has_state = has_state
        self._launch = launch
        self._environ = environ
        self._clock = clock
        self._clients = clients
        self._pool = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="gather")
        self._own_ec2: EC2Client | None = None

    def __enter__(self) -> Gatherer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=error is None, cancel_futures=True)

    def begin(self, call: Callable[[], T]) -> Future[T]:
        """Starts a call in a thread of its own."""
        return self._pool.submit(call)

    def facts(self) -> Facts:
        """Everything, begun side by side and waited for."""
        launch, source = self._launch, self._launch.reservation
        account = self._ask("sts:GetCallerIdentity", lambda: caller(self._clients.sts()))
        zone = self._parameter(source.zone, source.zone_parameter if source.reads_zone else "")
        reservation_id = self._parameter(source.id, source.id_parameter if source.reads_id else "")
        image_id = self._parameter(launch.image_id, launch.image_parameter)
        vpc = self._of_ec2("ec2:DescribeVpcs", lambda ec2: network.vpc(ec2, launch.vpc_id))
        offered = self._of_ec2(
            "ec2:DescribeInstanceTypeOfferings",
            lambda ec2: named.offered_zones(ec2, launch.instance_type),
        )
        type_in_ec2 = self._of_ec2(
            "ec2:DescribeInstanceTypes", lambda ec2: named.type_in_ec2(ec2, launch.instance_type)
        )
        reservations = self.begin(self._reservations)
        running = self._of_ec2(
            "ec2:DescribeInstances",
            usage.running,
        )
        quotas = self._quotas(vcpu_quotas(launch.instance_type, launch.market))
        address_quota = self.begin(lambda: self._quota(ELASTIC_IPS if launch.elastic_ip else ""))
        addresses = self._of_ec2("ec2:DescribeAddresses", network.addresses)
        named_in_ec2, named_in_iam = self._things_with_its_names()
        security_group = self._named(
            "ec2:DescribeSecurityGroups", network.security_group, launch.security_group_id
        )
        key_pair = self._named("ec2:DescribeKeyPairs", named.key_pair, launch.key_name)
        found_image = self.begin(
            lambda: self._now("ec2:DescribeImages", named.image, _known(image_id.result()))
        )
        others = self.begin(self._other_regions)
        elsewhere = self.begin(
            lambda: self._elsewhere(reservation_id.result(), reservations.result(), others.result())
        )
        used_by = self.begin(lambda: self._used_by(_known(reservation_id.result())))
        health = self.begin(self._health)
        in_block = launch.market == "capacity-block"
        next_id = self._parameter("", source.next_id_parameter if in_block else "")
        extension = self.begin(lambda: self._extension(_known(reservation_id.result())))
        purchases = self.begin(lambda: self._purchases(account.result()))
        subnets = self.begin(lambda: self._subnets(vpc.result()))
        subnet = self.begin(lambda: _chosen(launch, subnets.result(), zone.result(), offered.result()))
        local_zone = self.begin(lambda: self._local_zone(zone.result(), subnet.result()))
        tables = self._in_vpc("ec2:DescribeRouteTables", network.route_tables, subnet)
        endpoints = self._in_vpc("ec2:DescribeVpcEndpoints", network.endpoints, subnet)
        resolves = self._in_vpc("ec2:DescribeVpcAttribute", network.resolves_names, subnet)
        names = self._in_vpc("ec2:DescribeVpcAttribute", network.gives_names, subnet)
        tenancy = self.begin(lambda: self._tenancy(subnet.result(), vpc.result()))
        tried = self.begin(
            lambda: self._dry_run(subnet.result(), found_image.result(), reservation_id.result())
        )
        return Facts(
            account=account.result(),
            zone=zone.result(),
            reservation_id=reservation_id.result(),
            reservations=reservations.result(),
            elsewhere=elsewhere.result(),
            used_by=used_by.result(),
            block_health=health.result(),
            next_id=next_id.result(),
            extension=extension.result(),
            purchases=purchases.result(),
            offered_zones=offered.result(),
            type_in_ec2=type_in_ec2.result(),
            tenancy=tenancy.result(),
            running=running.result(),
            quotas=quotas.result(),
            vpc=vpc.result(),
            resolves_names=resolves.result(),
            gives_names=names.result(),
            subnets=subnets.result(),
            subnet=subnet.result(),
            local_zone=local_zone.result(),
            route_tables=tables.result() or (),
            endpoints=endpoints.result() or (),
            security_group=security_group.result(),
            addresses=addresses.result(),
            address_quota=address_quota.result(),
            key_pair=key_pair.result(),
            image_id=image_id.result(),
            image=found_image.result(),
            ec2_names=named_in_ec2.result(),
            iam_names=named_in_iam.result(),
            dry_run=tried.result(),
        )

    def _ec2(self) -> EC2Client:
        # Kept here: the factory may be busy with the clients of all other regions, one after the other.
        if self._own_ec2 is None:
            self._own_ec2 = self._clients.ec2(self._launch.region)
        return self._own_ec2

    def _ask(self, permission: str, call: Callable[[], T]) -> Future[Answer[T]]:
        return self.begin(lambda: answer_of(permission, call))

    def _of_ec2(self, permission: str, call: Callable[[EC2Client], T]) -> Future[Answer[T]]:
        return self._ask(permission, lambda: call(self._ec2()))

    def _now(
        self, permission: str, call: Callable[[EC2Client, str], T], name: str | None
    ) -> Answer[T] | None:
        """Asks for what has this name, in the caller's thread; None without a name."""
        return answer_of(permission, lambda: call(self._ec2(), name)) if name else None

    def _named(
        self, permission: str, call: Callable[[EC2Client, str], T], name: str | None
    ) -> Future[Answer[T] | None]:
        return self.begin(lambda: self._now(permission, call, name))

    def _in_vpc(
        self, permission: str, call: Callable[[EC2Client, str], T], subnet: Future[Subnet | None]
    ) -> Future[Answer[T] | None]:
        """Asks about the VPC of the chosen subnet; None without a subnet."""

        def ask() -> Answer[T] | None:
            chosen = subnet.result()
            return self._now(permission, call, chosen.vpc_id if chosen is not None else None)

        return self.begin(ask)

    def _things_with_its_names(
        self,
    ) -> tuple[Future[Answer[tuple[Named, ...]]], Future[Answer[tuple[Named, ...]]]]:
        names = self._launch.unique_names
        asked = self._has_state
        return (
            self._of_ec2("ec2:DescribeLaunchTemplates", lambda ec2: in_ec2(ec2, names) if asked else ()),
            self._ask("iam:GetRole", lambda: in_iam(self._clients.iam(), names) if asked else ()),
        )

    def _tenancy(self, subnet: Subnet | None, known: Answer[Vpc | None]) -> Answer[str | None]:
        """Of the subnet's VPC, which is asked for by itself where it is another one than was looked for."""
        if subnet is None:
            return None
        found: Answer[Vpc | None] = known
        if not isinstance(known, Vpc) or known.id != subnet.vpc_id:
            found = answer_of("ec2:DescribeVpcs", lambda: network.vpc(self._ec2(), subnet.vpc_id))
        return found.tenancy if isinstance(found, Vpc) else found

    def _parameter(self, given: str, name: str) -> Future[Answer[str | None]]:
        """The value that the settings give, else the one that the parameter holds."""

        def ask() -> Answer[str | None]:
            if given or not name:
                return given or None
            return answer_of(
                "ssm:GetParameter", lambda: named.parameter(self._clients.ssm(self._launch.region), name)
            )

        return self.begin(ask)

    def _quotas(self, codes: tuple[str, ...]) -> Future[Answer[tuple[Quota, ...]]]:
        return self._ask(
            "servicequotas:GetServiceQuota",
            lambda: usage.quotas(self._clients.service_quotas(self._launch.region), codes) if codes else (),
        )

    def _quota(self, code: str) -> Answer[Quota | None]:
        if not code:
            return None
        return answer_of(
            "servicequotas:GetServiceQuota",
            lambda: usage.quota(self._clients.service_quotas(self._launch.region), code),
        )

    def _reservations(self) -> Answer[tuple[Reservation, ...]]:
        """For the one that is named; and On-Demand for all, since unused ones count against the quota."""
        if not self._launch.reservation.is_named and self._launch.market != "on-demand":
            return ()
        return answer_of(
            "ec2:DescribeCapacityReservations",
            lambda: reservation.reservations(self._ec2(), self._launch.region),
        )

    def _other_regions(self) -> Answer[tuple[str, ...]]:
        """Asked before it is known whether the reservation is missing: the clients of all those regions are
        costly to make, and so are made while other questions still wait for AWS."""
        if not self._launch.reservation.is_named:
            return ()
        return answer_of(
            "ec2:DescribeRegions", lambda: reservation.other_regions(self._ec2(), self._launch.region)
        )

    def _elsewhere(
        self,
        name: Answer[str | None],
        seen: Answer[tuple[Reservation, ...]],
        regions: Answer[tuple[str, ...]],
    ) -> Answer[Elsewhere | None]:
        """Only a well-formed id that is not here is worth asking every region for."""
        if isinstance(name, NoAnswer) or isinstance(seen, NoAnswer) or not name or not is_well_formed(name):
            return None
        if any(each.id == name for each in seen):
            return None
        if isinstance(regions, NoAnswer):
            return regions
        return reservation.elsewhere(lambda region: self._clients.ec2(region), regions, name)

    def _used_by(self, reservation_id: str | None) -> Answer[tuple[tuple[str, int], ...]]:
        if not reservation_id or not is_well_formed(reservation_id):
            return ()
        return answer_of(
            "ec2:GetCapacityReservationUsage",
            lambda: reservation.used_by(self._ec2(), reservation_id, self._clock.sleep),
        )

    def _health(self) -> Answer[tuple[BlockHealth, ...]]:
        if self._launch.market != "capacity-block" or not is_ultra_server(self._launch.instance_type):
            return ()
        return answer_of("ec2:DescribeCapacityBlockStatus", lambda: reservation.block_health(self._ec2()))

    def _extension(self, block_id: str | None) -> Answer[Extension | None]:
        if self._launch.market != "capacity-block" or not block_id or not is_well_formed(block_id):
            return None
        return answer_of(
            "ec2:DescribeCapacityBlockExtensionHistory",
            lambda: newest(extensions_of(self._ec2(), [block_id], self._clock.sleep), block_id),
        )

    def _purchases(self, account: Answer[Account]) -> Answer[tuple[Entry, ...]]:
        if self._launch.market != "capacity-block" or isinstance(account, NoAnswer):
            return ()
        name = self._launch.environment

        def ask() -> tuple[Entry, ...]:
            region = lock_region(account, self._environ)
            place = Place(account.id, own_endpoint(self._ec2().meta.endpoint_url))
            own = Journal(state_directory(self._environ) / "purchases", place, self._clock)
            ssm = self._clients.ssm(region)
            return open_entries(SharedJournal(ssm, region, name, self._clock.sleep), own, name)

        return answer_of("ssm:GetParametersByPath", ask)

    def _subnets(self, vpc: Answer[Vpc | None]) -> Answer[tuple[Subnet, ...]]:
        """The given subnet, or those to choose from: of the given VPC, else of the default one."""
        vpc_id = self._launch.vpc_id or (vpc.id if isinstance(vpc, Vpc) else "")
        return answer_of(
            "ec2:DescribeSubnets",
            lambda: network.subnets(self._ec2(), self._launch.subnet_id, vpc_id),
        )

    def _local_zone(self, zone: Answer[str | None], subnet: Subnet | None) -> Answer[LocalZone | None]:
        """Asked only for a zone whose name is not the region's with a letter."""
        name = _known(zone) or (subnet.zone if subnet is not None else "")
        asked = name if name[:-1] != self._launch.region else ""
        return self._now("ec2:DescribeAvailabilityZones", network.local_zone, asked)

    def _dry_run(
        self, subnet: Subnet | None, found: Answer[Image | None] | None, reservation_id: Answer[str | None]
    ) -> Answer[DryRun | None]:
        """Only with all that the launch names; the rule says what is missing."""
        if subnet is None or not isinstance(found, Image) or isinstance(reservation_id, NoAnswer):
            return None
        if self._launch.reservation.is_named and not reservation_id:
            return None
        return answer_of(
            "ec2:RunInstances",
            lambda: named.dry_run(
                self._clients.ec2_once(self._launch.region),
                self._launch,
                self._clock.sleep,
                subnet_id=subnet.id,
                image=found,
                reservation_id=reservation_id,
            ),
        )


def _known(value: Answer[str | None]) -> str | None:
    return None if isinstance(value, NoAnswer) else value


def _chosen(
    launch: Launch,
    subnets: Answer[tuple[Subnet, ...]],
    zone: Answer[str | None],
    offered: Answer[tuple[str, ...]],
) -> Subnet | None:
    if isinstance(subnets, NoAnswer):
        return None
    return network.choose_subnet(
        launch, subnets, _known(zone), None if isinstance(offered, NoAnswer) else offered
    )


def answer_of(permission: str, call: Callable[[], T]) -> T | NoAnswer:
    """What `call` returns; NoAnswer, with the permission that it needs, when AWS refuses or can't be reached.

    Errors of this program are raised: they are no fact about AWS.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call()
    except ClientError as error:
        service = permission.partition(":")[0]  # a question may be of two calls, of which one is refused
        if (refusal := refusal_of(error)).operation == "AssumeRole":
            return named.role_refused(refusal)
        denied = denial(refusal, service)
        cause, remedy = "", ""
        if denied is not None and names_cause(refusal):
            cause, remedy = f"{denied.meaning} ({said(refusal)})", denied.remedy
        return NoAnswer(
            f"{service}:{error.operation_name}",
            explain(error),
            denied=denied is not None,
            cause=cause,
            remedy=remedy,
        )
    except (BotoCoreError, OSError) as error:
        return NoAnswer(permission, explain(error))
    except Failure as error:
        return NoAnswer(permission, error.message.rstrip("."))
