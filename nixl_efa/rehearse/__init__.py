"""A rehearsal: the whole workflow from the purchase to the end, with the real tools, on the local AWS.

`local_aws` is the local AWS's own command.
"""

from local_aws.__main__ import main as local_aws
from nixl_efa.rehearse.run import Options, rehearse
from nixl_efa.rehearse.workspace import FOREIGN

__all__ = ["FOREIGN", "Options", "local_aws", "rehearse"]
