"""The names of settings in each source, the names of regions, and the valid name that is nearest to a wrong one."""

from collections.abc import Iterable

VARIABLE_PREFIX = "NIXL_EFA_"
ENVIRONMENTS_VARIABLE = "NIXL_EFA_ENVIRONMENTS"

# Variables with the prefix that are not settings of an environment, and what reads them.
OTHER_VARIABLES: dict[str, str] = {
    "NIXL_EFA_CDK": "names the library of the constructs: cdktf or cdktn",
    ENVIRONMENTS_VARIABLE: "limits a run to the environments that it names",
    "NIXL_EFA_LOCK_REGION": "is the region of the journal of purchases that all machines share",
    "NIXL_EFA_REHEARSED_PROVIDER": "is libfabric's provider between the nodes of a rehearsal, which have no EFA",
    "NIXL_EFA_TRACEBACK": "makes the command line show a traceback for an unknown error",
}

# How similar two names must be (difflib's ratio, 0 to 1): to offer one, and to call the other a typing error.
OFFERED = 0.6
SLIP = 0.82


def camel_case(name: str) -> str:
    """instance_type -> instanceType."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def variable_part(name: str) -> str:
    """The form in which an environment or a setting is in a variable: prod-eu -> PROD_EU."""
    return name.upper().replace("-", "_")


def variable(setting: str, environment: str = "") -> str:
    """The variable of a setting, for one environment or for all of them."""
    parts = [environment, setting] if environment else [setting]
    return VARIABLE_PREFIX + "_".join(variable_part(part) for part in parts)


def nearest(name: str, valid: Iterable[str], least: float = OFFERED) -> str:
    """The valid name most like this one, whatever its case and separators; empty when none is like it."""
    import difflib  # only a faulty name pays for it

    plain = {_plain(candidate): candidate for candidate in valid}
    letters = sorted(_plain(name))
    for candidate in plain:
        if sorted(candidate) == letters:  # two letters in the wrong order, which difflib rates low
            return plain[candidate]
    found = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=least)
    return plain[found[0]] if found else ""


def nearest_variable(name: str, valid: Iterable[str]) -> str:
    """The valid variable most like this one, judged by what follows the prefix that all of them share."""
    near = nearest(name[len(VARIABLE_PREFIX) :], (one.removeprefix(VARIABLE_PREFIX) for one in valid))
    return VARIABLE_PREFIX + near if near else ""


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """A sentence that offers the nearest valid name, else all of them."""
    valid = sorted(valid)
    near = nearest(name, valid)
    if near:
        return f"Did you mean {near}?"
    return f"There are: {', '.join(valid)}." if valid else ""


# Used to find typing errors; for a newer region there is only a warning.
# Source: botocore 1.44.5, data/partitions.json (without each partition's "global").
REGIONS: tuple[str, ...] = (
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "me-west-1",
    "mx-central-1",
    "sa-east-1",
    "sa-west-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "cn-north-1",
    "cn-northwest-1",
    "eusc-de-east-1",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-iso-east-1",
    "us-iso-west-1",
    "us-isob-east-1",
    "us-isob-west-1",
    "eu-isoe-west-1",
    "us-isof-east-1",
    "us-isof-south-1",
)
