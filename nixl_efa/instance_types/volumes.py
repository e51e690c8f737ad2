"""How large the root volume is when the user doesn't say, and when a size that the user gave is too small.

The rule. A volume holds the image, NIXL's environment and models; models grow with the machine, so the
default climbs the ladder 200, 300, 500, 1000 GiB with the vCPUs: 300 from 96 vCPUs on, 500 from 128 on.
Machines for large models, which are the P families and those whose accelerators have 80 GiB or more each,
stand one step higher from 32 vCPUs on. Types that run no models (no accelerator, FPGAs, media chips) have
200, and so has a type that isn't known. Two exceptions, both Trainium: trn1 and trn1n have 500, and any other
Trn has at least the 512 that AWS asks for.
"""

from nixl_efa.findings import Finding, Level
from nixl_efa.instance_types.data import find
from nixl_efa.instance_types.model import InstanceType

UNKNOWN_TYPE_GIB = 200
WARNING_SHARE = 0.8
"""A size below this share of the default is warned of."""

NEURON_IMAGE_GIB = 512
"""What AWS asks for as a root volume on Trn, in GB at least (AWS Neuron documentation, Neuron DLAMI)."""

_LADDER_GIB = (200, 300, 500, 1000)
_STEPS_VCPU = (96, 128)
_LARGE_ACCELERATOR_GIB = 80
_LARGE_FROM_VCPU = 32
_KINDS_WITHOUT_MODELS = ("none", "xilinx")
_FAMILIES_GIB = {"trn1": 500, "trn1n": 500}


def default_volume_gib(name: str) -> int:
    """The root volume's size in GiB when none is set; 200 for a type that the data doesn't know."""
    one = find(name)
    if one is None:
        return UNKNOWN_TYPE_GIB
    if one.family in _FAMILIES_GIB:
        return _FAMILIES_GIB[one.family]
    by_size = _LADDER_GIB[_step(one)]
    return max(by_size, NEURON_IMAGE_GIB) if _is_trainium(one) else by_size


def validate_volume(name: str, size_gib: int) -> list[Finding]:
    """A warning for a size below 80 % of the type's default, and one for less than AWS asks for on Trn."""
    findings = []
    default = default_volume_gib(name)
    if size_gib < WARNING_SHARE * default:
        findings.append(
            Finding(
                Level.WARN,
                "volume_size",
                f"volume_size {size_gib} GiB is below 80 % of the {default} GiB that {name} has by default: "
                "the image and the models may not fit.",
                f"Set volume_size to {default}, or leave it out.",
            )
        )
    one = find(name)
    if one is not None and _is_trainium(one) and size_gib < NEURON_IMAGE_GIB:
        findings.append(
            Finding(
                Level.WARN,
                "volume_size",
                f"volume_size {size_gib} GiB is less than the {NEURON_IMAGE_GIB} GiB that AWS asks for on "
                f"{name} with the Neuron deep-learning image.",
                f"Set volume_size to {NEURON_IMAGE_GIB} or more.",
            )
        )
    return findings


def _step(one: InstanceType) -> int:
    if one.accelerator_kind in _KINDS_WITHOUT_MODELS:
        return 0
    step = sum(one.vcpu >= vcpu for vcpu in _STEPS_VCPU)
    return step + (_is_for_large_models(one) and one.vcpu >= _LARGE_FROM_VCPU)


def _is_for_large_models(one: InstanceType) -> bool:
    large = any(accelerator.memory_gib >= _LARGE_ACCELERATOR_GIB for accelerator in one.accelerators)
    return large or one.family.startswith("p")


def _is_trainium(one: InstanceType) -> bool:
    return any(accelerator.name.startswith("Trainium") for accelerator in one.accelerators)
