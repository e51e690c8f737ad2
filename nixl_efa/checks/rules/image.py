"""The root volume, and the machine image: it is there, boots on this type, fits the root volume and the reservation."""

import re
from datetime import date, datetime

from nixl_efa import instance_types, nixl_releases
from nixl_efa.checks.facts import Facts, Image, NoAnswer
from nixl_efa.checks.rules import reservation
from nixl_efa.checks.rules.common import aws, no_answer, parameter_call
from nixl_efa.findings import Finding, failed, listed, passed, warned
from nixl_efa.image import image_parameter, validate_image
from nixl_efa.launch import Launch
from nixl_efa.nixl_backend import LIBFABRIC
from nixl_efa.times import moment

# NVIDIA driver documentation: the open GPU kernel modules need Turing or newer. The one older GPU here:
_BEFORE_TURING = frozenset({"V100"})
# Systems whose python3 is older than what NIXL's wheels need (Requires-Python >=3.10 from 0.9.0 on), by the names that
# AWS, Canonical, Red Hat and Rocky Linux give to their images.
_OLD_PYTHON = (
    (re.compile(r"amazon[ -]linux[ -]2023|\bal2023-", re.IGNORECASE), "Amazon Linux 2023", "3.9"),
    (re.compile(r"amazon[ -]linux[ -]2(?!\d)|^amzn2-", re.IGNORECASE), "Amazon Linux 2", "3.7"),
    (re.compile(r"ubuntu\b.*\b20\.04\b", re.IGNORECASE), "Ubuntu 20.04", "3.8"),
    (re.compile(r"^(?:RHEL|Rocky)-9", re.IGNORECASE), "a Red Hat Enterprise Linux 9", "3.9"),
)
# AWS's names of deep-learning images end with the day on which they were made (DLAMI release notes).
_DEEP_LEARNING = re.compile(r"^Deep Learning .*\b(20\d\d)(\d\d)(\d\d)$")
_OPEN_DRIVER = re.compile(r"\boss[- ]nvidia", re.IGNORECASE)


def check(launch: Launch, facts: Facts, now: datetime) -> list[Finding]:
    """Whether the root volume has the size that the type's software usually needs; then everything about the image."""
    return [*_volume(launch), *_image(launch, facts, now)]


def _volume(launch: Launch) -> list[Finding]:
    # The limits of gp3 (size, IOPS, throughput) are checked with the settings.
    found = instance_types.validate_volume(launch.instance_type, launch.volume.gib)
    return found or [passed("volume_size", f"{launch.volume.gib} GiB for {launch.instance_type}.")]


def _image(launch: Launch, facts: Facts, now: datetime) -> list[Finding]:
    if isinstance(facts.image_id, NoAnswer):
        return [no_answer("image", facts.image_id, parameter_call(launch, launch.image_parameter))]
    if facts.image_id is None:
        return [_no_parameter(launch)]
    by_hand = aws(launch, "ec2", "describe-images", "--image-ids", facts.image_id, "--include-deprecated")
    image = facts.image
    if isinstance(image, NoAnswer):
        return [no_answer("image", image, by_hand)]
    allowed = _allowed(launch, facts, facts.image_id, image)
    if image is None:
        return [_missing(launch, facts.image_id, by_hand), *allowed]
    return [
        *allowed,
        _usable(launch, image, now, by_hand),
        _architecture(launch, facts, image, by_hand),
        _root_device(image, by_hand),
        _root_volume(launch, image, by_hand),
        _platform(facts, image, by_hand),
        *_driver(launch, image, by_hand),
        *_python(launch, image, by_hand),
        *_libfabric(launch, image, by_hand),
    ]


def _no_parameter(launch: Launch) -> Finding:
    return failed(
        "image",
        f"The parameter {launch.image_parameter} does not exist in {launch.region}.",
        "Set ami_id or ami_parameter; not every region has every deep-learning image.",
        parameter_call(launch, launch.image_parameter),
    )


def _missing(launch: Launch, image_id: str, by_hand: str) -> Finding:
    source = "ami_id" if launch.image_id else f"from {launch.image_parameter}"
    return failed(
        "image",
        f"The image {image_id} ({source}) is not in {launch.region}, or not shared with this account.",
        "Set ami_id to an image of this region, or remove it: the newest deep-learning image is then taken.",
        by_hand,
    )


def _allowed(launch: Launch, facts: Facts, image_id: str, image: Image | None) -> list[Finding]:
    """Allowed AMIs (EC2 user guide, ec2-allowed-amis): when enabled, EC2 does not show images that are not allowed; in
    audit mode it only marks them. Images of the account itself are always allowed."""
    check, by_hand = "allowed images", aws(launch, "ec2", "get-allowed-images-settings")
    state = facts.allowed_images
    if isinstance(state, NoAnswer):
        return [no_answer(check, state, by_hand)]
    remedy = "Have its owner (amazon) added to the account's Allowed AMIs, or set ami_id to an image of this account."
    if state == "enabled" and (image is None or image.allowed is False):
        seen = "may be why EC2 does not show" if image is None else "do not allow"
        return [
            failed(check, f"The account's Allowed AMIs are enabled, and {seen} {image_id}.", remedy, by_hand)
        ]
    if state == "audit-mode" and image is not None and image.allowed is False:
        message = f"The account's Allowed AMIs, now in audit mode, would not allow {image_id} once they are enabled."
        return [warned(check, message, remedy, by_hand)]
    return [passed(check, f"The account's Allowed AMIs ({state}) allow it.", by_hand)] if image else []


def _usable(launch: Launch, image: Image, now: datetime, by_hand: str) -> Finding:
    name = f"{image.id} ({image.name})" if image.name else image.id
    if image.state != "available":
        return failed("image", f"{name} is {image.state}.", "Take another image.", by_hand)
    several = any(each.interface_type != "interface" for each in launch.interfaces)
    if not image.ena or image.virtualization != "hvm":
        why = "has no ENA support" if not image.ena else f"has virtualization {image.virtualization}"
        extra = " EFA interfaces need it." if several else ""
        return failed(
            "image",
            f"{name} {why}: {launch.instance_type} does not start from it.{extra}",
            "Take another image.",
            by_hand,
        )
    if image.deprecated_at is not None and image.deprecated_at <= now:
        return warned(
            "image",
            f"{name} is deprecated since {moment(image.deprecated_at)}.",
            "Take a newer one: it may lack security updates, and may be removed.",
            by_hand,
        )
    source = f", from {launch.image_parameter}" if not launch.image_id else ""
    return passed("image", f"{name}{source}.", by_hand)


def _architecture(launch: Launch, facts: Facts, image: Image, by_hand: str) -> Finding:
    check = "image architecture"
    known = launch.type_facts.architectures if launch.type_facts is not None else ()
    boot_modes: tuple[str, ...] = ()
    if not isinstance(facts.type_in_ec2, NoAnswer) and facts.type_in_ec2 is not None:
        known = facts.type_in_ec2.architectures
        boot_modes = facts.type_in_ec2.boot_modes
    if known and image.architecture not in known:
        return failed(
            check,
            f"{image.id} is {image.architecture}, but {launch.instance_type} runs {listed(known)}.",
            f"Take an image for {known[0]}.",
            by_hand,
        )
    # An image that prefers UEFI boots either way; one that names a single mode doesn't.
    if image.boot_mode in ("uefi", "legacy-bios") and boot_modes and image.boot_mode not in boot_modes:
        return failed(
            check,
            f"{image.id} boots only with {image.boot_mode}, but {launch.instance_type} with "
            f"{listed(boot_modes)}.",
            "Take an image with that boot mode.",
            by_hand,
        )
    return passed(check, f"{image.architecture}, as {launch.instance_type} runs.", by_hand)


def _root_device(image: Image, by_hand: str) -> Finding:
    if image.root_device_type != "ebs" or not image.root_device:
        kind = image.root_device_type or "no"
        return failed(
            "image root device",
            f"{image.id} has a root device of type {kind}; the stack gives its nodes an EBS volume.",
            "Take an image whose root device is on EBS.",
            by_hand,
        )
    return passed("image root device", f"{image.root_device} on EBS.", by_hand)


def _root_volume(launch: Launch, image: Image, by_hand: str) -> Finding:
    if image.root_gib > launch.volume.gib:
        return failed(
            "image root volume",
            f"{image.id} needs a root volume of at least {image.root_gib} GiB, but volume_size is "
            f"{launch.volume.gib}.",
            f"Set volume_size = {image.root_gib} or more.",
            by_hand,
        )
    return passed(
        "image root volume", f"The image takes {image.root_gib} of {launch.volume.gib} GiB.", by_hand
    )


def _platform(facts: Facts, image: Image, by_hand: str) -> Finding:
    check = "image platform"
    if image.platform.startswith("Windows"):
        return failed(
            check, f"{image.id} is {image.platform}; the pair runs Linux.", "Take a Linux image.", by_hand
        )
    found = reservation.of(facts)
    if found is not None and _reserved_as(image.platform) != found.platform:
        return failed(
            check,
            f"{image.id} is {image.platform}, but {found.id} is for {found.platform}.",
            f"Take an image whose platform is {found.platform}, or another reservation.",
            by_hand,
        )
    fits = f", as {found.id} asks" if found is not None else ""
    return passed(check, f"{image.platform or 'Linux/UNIX'}{fits}.", by_hand)


def _driver(launch: Launch, image: Image, by_hand: str) -> list[Finding]:
    name = f"{'' if launch.image_id else launch.image_parameter} {image.name}"
    accelerators = launch.type_facts.accelerators if launch.type_facts is not None else ()
    given = bool(launch.image_id) or launch.image_parameter != image_parameter(launch.type_facts)
    found = validate_image(launch.type_facts, given=given)
    if found:
        return found
    old = [each.name for each in accelerators if each.name in _BEFORE_TURING]
    if not old or not _OPEN_DRIVER.search(name):
        return []
    return [
        failed(
            "image driver",
            f"{image.id} has NVIDIA's open driver, which does not run the {old[0]} of {launch.instance_type}.",
            "Set ami_id or ami_parameter to an image with NVIDIA's proprietary driver.",
            by_hand,
        )
    ]


def _python(launch: Launch, image: Image, by_hand: str) -> list[Finding]:
    """Where a node installs NIXL by itself, its python3 has to be new enough for NIXL's wheels."""
    if not launch.nixl_version:
        return []
    for pattern, system, version in _OLD_PYTHON:
        if pattern.search(image.name) or (not launch.image_id and pattern.search(launch.image_parameter)):
            return [
                failed(
                    "image python",
                    f"{image.id} ({image.name}) is {system}, with Python {version}: NIXL's wheels need 3.10.",
                    "Take an Ubuntu 24.04 image (the default, without ami_id and ami_parameter), or set "
                    "install_nixl = false and run NIXL in a container (docs/containers.md).",
                    by_hand,
                )
            ]
    return []


def _libfabric(launch: Launch, image: Image, by_hand: str) -> list[Finding]:
    """Whether NIXL loads on a deep-learning image: it can't hold an EFA installer that was released after its date."""
    day = _day_of(image)
    if not launch.nixl_version or day is None or launch.nixl.name != LIBFABRIC:
        return []
    newest, needed = nixl_releases.installer_of(day), nixl_releases.needs(launch.nixl_version)
    if newest is None or needed is None or nixl_releases.loads(launch.nixl_version, newest.libfabric):
        return []
    fits = nixl_releases.newest_for(newest.libfabric)
    return [
        warned(
            "image libfabric",
            f"{image.id} is of {day}, when EFA installer {newest.version} had libfabric {newest.libfabric}: NIXL "
            f"{launch.nixl_version} needs {needed.libfabric}, EFA installer {needed.installer}, and would not be "
            "installed.",
            f"Remove nixl_version: they then install {fits}; or take a newer image."
            if fits
            else "Take a newer image.",
            by_hand,
        )
    ]


def _day_of(image: Image) -> date | None:
    found = _DEEP_LEARNING.search(image.name)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def _reserved_as(platform: str) -> str:
    # EC2 user guide, billing-info-fields: bring-your-own licences run as Linux/UNIX.
    return "Linux/UNIX" if platform in ("", "Linux/UNIX", "Red Hat BYOL Linux") else platform
