"""All questions of one check, in parallel threads. Each question waits only for the answers that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING

from nixl_efa.account import Account, caller
from nixl_efa.checks.facts import (
    Answer,
    DryRun,
    Endpoint,
    Facts,
    Image,
    Named,
    NoAnswer,
    Profile,
    SecurityGroup,
    Simulated,
    Subnet,
    VolumeKey,
    Vpc,
)
from nixl_efa.checks.gather import account_settings, choice, network, usage
from nixl_efa.checks.gather import launch as named
from nixl_efa.checks.gather.asking import answer_of, known
from nixl_efa.checks.gather.capacity import AskingForCapacity
from nixl_efa.checks.gather.names import in_ec2, in_iam
from nixl_efa.checks.network_facts import Exclusion, LocalZone, NetworkAcl, PublicAccess
from nixl_efa.checks.permissions import wanted, wanted_of_nodes
from nixl_efa.checks.quota_codes import ELASTIC_IPS, GP3_STORAGE, vcpu_quotas
from nixl_efa.clock import Clock
from nixl_efa.cost.compare import Rates
from nixl_efa.launch import Launch

if TYPE_CHECKING:
    from nixl_efa.aws import Clients


class Gatherer(AskingForCapacity):
    """Asks about everything that one launch depends on. A context manager: its threads end with the block."""

    def __init__(
        self,
        launch: Launch,
        clients: Clients,
        environ: Mapping[str, str],
        clock: Clock,
        *,
        has_state: bool = False,
        beside: Gatherer | None = None,
    ) -> None:
        """has_state: read the stack's state too; it shows which resources with the stack's names are its own. beside:
        see Asking."""
        self._has_state = has_state
        super().__init__(launch, clients, environ, clock, beside)

    def facts(self) -> Callable[[], Facts]:
        """Starts all questions in parallel. The function that it returns waits for the answers."""
        launch, source = self._launch, self._launch.reservation
        account = self._ask("sts:GetCallerIdentity", lambda: caller(self._clients.sts()), "account")
        zone = self._parameter(source.zone, source.zone_parameter if source.reads_zone else "")
        reservation_id = self._parameter(source.id, source.id_parameter if source.reads_id else "")
        image_id = self._parameter(launch.image_id, launch.image_parameter)
        vpcs = self._of_ec2("ec2:DescribeVpcs", network.vpcs, network.vpcs)
        public_access = self._of_ec2(
            "ec2:DescribeVpcBlockPublicAccessOptions", network.public_access, network.public_access
        )
        exclusions = self.begin(lambda: self._exclusions(public_access.result()), "exclusions")
        dhcp_options = self._of_ec2("ec2:DescribeDhcpOptions", network.dhcp_options, network.dhcp_options)
        endpoints = self._of_ec2("ec2:DescribeVpcEndpoints", network.endpoints, network.endpoints)
        endpoint_groups = self.begin(lambda: self._endpoint_groups(endpoints.result()), "endpoint groups")
        allowed_images = self._of_ec2(
            "ec2:GetAllowedImagesSettings", account_settings.allowed_images, account_settings.allowed_images
        )
        key_id = self._of_ec2(
            "ec2:GetEbsDefaultKmsKeyId",
            lambda ec2: launch.volume.kms_key_id or account_settings.default_key(ec2),
            "key",
        )
        volume_key = self.begin(lambda: self._volume_key(key_id.result(), account.result()), "volume key")
        volume_quota = self.begin(lambda: self._quota(GP3_STORAGE, "ebs"), "volume quota")
        volumes_gib = self._of_ec2("ec2:DescribeVolumes", usage.gp3_gib, usage.gp3_gib)
        spot_role = self.begin(self._spot_role, ("spot role", launch.market))
        profile = self.begin(self._profile, "profile")
        permissions = self.begin(lambda: self._permissions(account.result(), profile.result()), "permissions")
        profile_permissions = self.begin(
            lambda: self._profile_permissions(profile.result(), account.result()), "profile permissions"
        )
        offered = self._of_ec2(
            "ec2:DescribeInstanceTypeOfferings",
            lambda ec2: named.offered_zones(ec2, launch.instance_types),
            "offered",
        )
        type_in_ec2 = self._of_ec2(
            "ec2:DescribeInstanceTypes",
            lambda ec2: named.type_in_ec2(ec2, launch.instance_type),
            ("type", launch.instance_type),
        )
        reservations = self.begin(self._reservations, ("reservations", self._counts_reservations))
        running = self._of_ec2("ec2:DescribeInstances", usage.running, usage.running)
        codes = vcpu_quotas(launch.instance_type, launch.market)
        quotas = self.begin(lambda: self._quotas(codes), ("quotas", codes))
        address_quota = self.begin(
            lambda: self._quota(ELASTIC_IPS if launch.elastic_ip else ""), "address quota"
        )
        addresses = self._of_ec2("ec2:DescribeAddresses", network.addresses, network.addresses)
        named_in_ec2, named_in_iam = self._things_with_its_names()
        security_group = self._named(
            "ec2:DescribeSecurityGroups", network.security_group, launch.security_group_id
        )
        key_pair = self._named("ec2:DescribeKeyPairs", named.key_pair, launch.key_name)
        found_image = self.begin(
            lambda: self._now("ec2:DescribeImages", named.image, known(image_id.result())),
            ("image", launch.image_id, launch.image_parameter),
        )
        others = self.begin(self._other_regions, ("regions", source.is_named))
        elsewhere = self.begin(
            lambda: self._elsewhere(reservation_id.result(), reservations.result(), others.result()),
            ("elsewhere", source),
        )
        used_by = self.begin(lambda: self._used_by(known(reservation_id.result())), ("used by", source))
        health = self.begin(self._health, ("health", launch.market, launch.instance_type))
        sources = dict.fromkeys(each.reservation for each in launch.beside)
        ids = [
            self._parameter(one.id, one.id_parameter if one.reads_id else "")
            for one in (sources if len(sources) > 1 else ())
        ]
        network_nodes = self.begin(
            lambda: self._network_nodes([one.result() for one in ids]), "network nodes"
        )
        in_block = launch.market == "capacity-block"
        next_id = self._parameter("", source.next_id_parameter if in_block else "")
        extension = self.begin(lambda: self._extension(known(reservation_id.result())), ("extension", source))
        purchases = self.begin(
            lambda: self._purchases(account.result()), ("purchases", in_block, source.target)
        )
        vpc = self.begin(lambda: choice.vpc(launch, vpcs.result()), "vpc")
        subnets = self.begin(lambda: self._subnets(vpc.result()), "subnets")
        subnet = self.begin(
            lambda: choice.subnet(launch, subnets.result(), zone.result(), offered.result()), "subnet"
        )
        rates = self.begin(
            lambda: self._rates(account.result(), lambda: chosen.zone if (chosen := subnet.result()) else ""),
            ("rates", launch.market, launch.instance_type),
        )
        local_zone = self.begin(lambda: self._local_zone(zone.result(), subnet.result()), "local zone")
        tables = self._in_vpc("ec2:DescribeRouteTables", network.route_tables, subnet)
        gateway = self._in_vpc("ec2:DescribeInternetGateways", network.internet_gateway, subnet)
        acl = self.begin(lambda: self._network_acl(subnet.result()), "network ACL")
        resolves = self._in_vpc("ec2:DescribeVpcAttribute", network.resolves_names, subnet)
        names = self._in_vpc("ec2:DescribeVpcAttribute", network.gives_names, subnet)
        tenancy = self.begin(lambda: choice.tenancy(vpcs.result(), subnet.result()))
        tried = self.begin(
            lambda: self._dry_run(subnet.result(), found_image.result(), reservation_id.result())
        )
        return lambda: Facts(
            account=account.result(),
            zone=zone.result(),
            reservation_id=reservation_id.result(),
            reservations=reservations.result(),
            elsewhere=elsewhere.result(),
            used_by=used_by.result(),
            block_health=health.result(),
            network_nodes=network_nodes.result(),
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
            endpoints=endpoints.result(),
            endpoint_groups=endpoint_groups.result(),
            own_vpc=choice.own_vpc(vpcs.result(), subnet.result()),
            internet_gateway=gateway.result(),
            network_acl=acl.result(),
            public_access=public_access.result(),
            exclusions=exclusions.result(),
            dhcp_options=dhcp_options.result(),
            security_group=security_group.result(),
            addresses=addresses.result(),
            address_quota=address_quota.result(),
            key_pair=key_pair.result(),
            image_id=image_id.result(),
            image=found_image.result(),
            allowed_images=allowed_images.result(),
            volume_key=volume_key.result(),
            volume_quota=volume_quota.result(),
            volumes_gib=volumes_gib.result(),
            spot_role=spot_role.result(),
            permissions=permissions.result(),
            profile=profile.result(),
            profile_permissions=profile_permissions.result(),
            ec2_names=named_in_ec2.result(),
            iam_names=named_in_iam.result(),
            dry_run=tried.result(),
            rates=rates.result(),
        )

    def _things_with_its_names(
        self,
    ) -> tuple[Future[Answer[tuple[Named, ...]]], Future[Answer[tuple[Named, ...]]]]:
        names = {key: name for one in self._launch.beside for key, name in one.unique_names.items()}
        asked = self._has_state
        return (
            self._of_ec2(
                "ec2:DescribeLaunchTemplates", lambda ec2: in_ec2(ec2, names) if asked else (), "names in EC2"
            ),
            self._ask(
                "iam:GetRole", lambda: in_iam(self._clients.iam(), names) if asked else (), "names in IAM"
            ),
        )

    def _subnets(self, vpc: Answer[Vpc | None]) -> Answer[tuple[Subnet, ...]]:
        """The given subnet, or the subnets to choose from: those of the given VPC, else of the default one."""
        vpc_id = self._launch.vpc_id or (vpc.id if isinstance(vpc, Vpc) else "")
        return answer_of(
            "ec2:DescribeSubnets",
            lambda: network.subnets(self._ec2(), self._launch.subnet_id, vpc_id),
        )

    def _local_zone(self, zone: Answer[str | None], subnet: Subnet | None) -> Answer[LocalZone | None]:
        """The Local Zone; asked only for a zone whose name is not the region's name with a letter."""
        name = known(zone) or (subnet.zone if subnet is not None else "")
        asked = name if name[:-1] != self._launch.region else ""
        return self._now("ec2:DescribeAvailabilityZones", network.local_zone, asked)

    def _endpoint_groups(self, endpoints: Answer[tuple[Endpoint, ...]]) -> Answer[tuple[SecurityGroup, ...]]:
        if isinstance(endpoints, NoAnswer):
            return ()
        used = [each for each in endpoints if each.serves in ("ssm", "ssmmessages", "s3")]
        wanted_ids = sorted({group for each in used for group in each.group_ids})
        if not wanted_ids:
            return ()
        return answer_of(
            "ec2:DescribeSecurityGroups", lambda: network.security_groups(self._ec2(), wanted_ids)
        )

    def _exclusions(self, access: Answer[PublicAccess]) -> Answer[tuple[Exclusion, ...]]:
        if isinstance(access, NoAnswer) or access.mode == "off":
            return ()
        return answer_of(
            "ec2:DescribeVpcBlockPublicAccessExclusions", lambda: network.exclusions(self._ec2())
        )

    def _network_acl(self, subnet: Subnet | None) -> Answer[NetworkAcl | None]:
        return self._now("ec2:DescribeNetworkAcls", network.network_acl, subnet.id if subnet else None)

    def _volume_key(self, key_id: Answer[str], account: Answer[Account]) -> Answer[VolumeKey | None]:
        """The key that encrypts the nodes' volumes: that of the settings, else the account's default one."""
        if isinstance(key_id, NoAnswer):
            return key_id
        return answer_of(
            "kms:DescribeKey",
            lambda: account_settings.volume_key(
                lambda: self._clients.kms(self._launch.region),
                key_id,
                "" if isinstance(account, NoAnswer) else account.id,
            ),
        )

    def _rates(self, account: Answer[Account], zone: Callable[[], str]) -> Answer[Rates | None]:
        """The prices; None for a launch into a block, which has only its fee. zone: that of the chosen subnet."""
        if self._launch.market == "capacity-block":
            return None
        if isinstance(account, NoAnswer):
            return account
        # Prices are asked for as checks ask, so that module needs this package first.
        from nixl_efa.cost.prices import hourly

        return hourly(self._launch, self._clients, self._clock, zone)

    def _spot_role(self) -> Answer[bool | None]:
        if self._launch.market != "spot":
            return None
        return answer_of("iam:GetRole", lambda: account_settings.has_spot_role(self._clients.iam()))

    def _permissions(
        self, account: Answer[Account], profile: Answer[Profile | None]
    ) -> Answer[tuple[Simulated, ...]]:
        if isinstance(account, NoAnswer):
            return ()
        role_arn = profile.role_arn if isinstance(profile, Profile) else ""
        return answer_of(
            "iam:SimulatePrincipalPolicy",
            lambda: account_settings.simulated(
                self._clients.iam(), account, wanted(self._launch, account, role_arn)
            ),
        )

    def _profile(self) -> Answer[Profile | None]:
        name = self._launch.instance_profile
        if not name:
            return None
        return answer_of(
            "iam:GetInstanceProfile", lambda: account_settings.profile(self._clients.iam(), name)
        )

    def _profile_permissions(
        self, profile: Answer[Profile | None], account: Answer[Account]
    ) -> Answer[tuple[Simulated, ...]]:
        if not isinstance(profile, Profile) or isinstance(account, NoAnswer):
            return ()
        asked = wanted_of_nodes(self._launch, account)
        return answer_of(
            "iam:SimulatePrincipalPolicy",
            lambda: account_settings.simulated_for(self._clients.iam(), profile.role_arn, asked),
        )

    def _dry_run(
        self, subnet: Subnet | None, found: Answer[Image | None] | None, reservation_id: Answer[str | None]
    ) -> Answer[DryRun | None]:
        """The dry run; only when everything that the launch names was found. The rule reports what is missing."""
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
