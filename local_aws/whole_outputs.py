"""The complete output of a Run Command command, in the bucket that the command names: the node's agent writes it there.

GetCommandInvocation returns only its beginning. If the bucket does not exist, the command does not fail.
"""

from typing import Any

from moto.s3.exceptions import MissingBucket
from moto.s3.models import s3_backends
from moto.utilities.utils import get_partition

from local_aws.world import CommandOutput

_WRITTEN = "written"


def write(account: str, region: str, command: Any, invocation: dict[str, Any], output: CommandOutput) -> Any:
    """Write stdout and stderr of a command, only once, after it has ended. Returns the members of GetCommandInvocation
    that say where they are. invocation: moto's, of one instance."""
    bucket = command.output_s3_bucket_name or ""
    if not bucket:
        return {"StandardOutputUrl": "", "StandardErrorUrl": ""}
    # The agent's folders (amazon-ssm-agent): one for the plugin, one for the document's step.
    places = (command.output_s3_key_prefix, command.command_id, invocation["InstanceId"])
    folder = "/".join([*filter(None, places), "awsrunShellScript", "0.awsrunShellScript"])
    texts = {"stdout": output.stdout, "stderr": output.stderr}
    if not invocation.get(_WRITTEN):
        invocation[_WRITTEN] = True
        for name, text in texts.items():
            if text:
                _put(account, region, bucket, f"{folder}/{name}", text)
    urls = {name: f"https://s3.{region}.amazonaws.com/{bucket}/{folder}/{name}" for name in texts}
    return {"StandardOutputUrl": urls["stdout"], "StandardErrorUrl": urls["stderr"]}


def _put(account: str, region: str, bucket: str, key: str, text: str) -> None:
    try:
        s3_backends[account][get_partition(region)].put_object(bucket, key, text.encode())
    except MissingBucket:
        return
