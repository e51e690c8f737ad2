"""A value that moves by itself (a newest image, a first zone), kept as it was when the pair was created.

Terraform reads such a value anew at each plan. Without this, a newer image would replace both running nodes: in a
Capacity Block that cost tens of thousands of dollars, on a plan that was meant to change a tag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cdktf import Precondition
from constructs import Construct

from constructs_lib.terraform_data import terraform_data


def frozen(
    scope: Construct,
    name: str,
    value: str,
    *,
    until: Mapping[str, str],
    preconditions: Sequence[Precondition] = (),
) -> str:
    """A token for `value` as it was at creation; it is taken anew when an entry of `until` changes.

    until: what the user chose and the value follows from: choosing otherwise must take effect.
    preconditions: checked at every plan, before the value is used.
    """
    address = terraform_data(
        scope,
        name,
        {"value": value},
        triggers_replace=until,
        ignore_changes=["input"],
        preconditions=preconditions,
    )
    return f"${{{address}.output.value}}"
