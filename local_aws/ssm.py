"""Systems Manager with public image parameters, managed instances, and Run Command answers that a test sets."""

import base64
from collections.abc import Iterator, Mapping
from secrets import token_hex
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ssm import models as moto_models
from moto.ssm.models import ParameterDict
from moto.ssm.responses import SimpleSystemManagerResponse

from local_aws import images, run_command, whole_outputs
from local_aws.ec2.way_out import is_managed
from local_aws.inferred import lean_on
from local_aws.requests import JsonError
from local_aws.world import CommandOutput, world

_PUBLIC = "/aws/service/"
# Systems Manager user guide, parameter-store-finding-public-parameters, and images.PREFIXES.
_PUBLISHERS = (
    "ami-amazon-linux-latest",
    "ami-macos-latest",
    "ami-windows-latest",
    "bottlerocket",
    "canonical",
    "debian",
    "deeplearning",
    "ecs",
    "eks",
    "freebsd",
    "global-infrastructure",
    "list",
    "marketplace",
    "neuron",
)
# The account's own document for a shell, and AWS's documents for other sessions.
_SHELL = "SSM-SessionManagerRunShell"
_SESSION_DOCUMENTS = (
    "AWS-StartInteractiveCommand",
    "AWS-StartNonInteractiveCommand",
    "AWS-StartPortForwardingSession",
    "AWS-StartPortForwardingSessionToRemoteHost",
    "AWS-StartSSHSession",
)
# The beginning of a value that KMS has encrypted (Systems Manager user guide, secure-string-parameter-kms-encryption).
_ENCRYPTED = b"\x01\x02\x02\x00"


class Parameter(moto_models.Parameter):  # type: ignore[misc]
    """moto's parameter; without decryption, a SecureString shows nothing of its value."""

    def encrypt(self, value: str) -> str:
        return base64.b64encode(_ENCRYPTED + bytes(byte ^ 0xFF for byte in value.encode())).decode()

    def decrypt(self, value: str) -> str | None:
        if self.parameter_type != "SecureString":
            return value
        return bytes(byte ^ 0xFF for byte in base64.b64decode(value)[len(_ENCRYPTED) :]).decode()


# What GetCommandInvocation gives of an output and of an error (Systems Manager API reference); the marks are those of
# the agent (amazon-ssm-agent, its output truncation).
_MOST_OUTPUT, _MOST_ERROR = 24_000, 8_000


def _cut(text: str, most: int, mark: str) -> str:
    return text if len(text) <= most else f"{text[: most - len(mark) - 1]}\n{mark}"


class PublicParameters(ParameterDict):  # type: ignore[misc]
    """moto's parameters, and AWS's public ones for Deep Learning AMIs, which are created when they are read."""

    def _check_loading_status(self, key: str) -> None:
        super()._check_loading_status(key)
        name = str(key or "")
        if name.startswith(images.PREFIXES) or any(
            prefix.startswith(name.rstrip("/") + "/") for prefix in images.PREFIXES
        ):
            for listed in (*images.LISTED, name):
                self._publish(listed)

    def get_keys_beginning_with(self, path: str, recursive: bool) -> Iterator[str]:
        """The names below a path. Public parameters appear only below a public path: the account's own are listed
        without them."""
        for name in super().get_keys_beginning_with(path, recursive):
            if path.startswith(_PUBLIC) or not name.startswith(_PUBLIC):
                yield name

    def _publish(self, name: str) -> None:
        image = images.image_for(self.region_name, name)
        if image is None:
            return
        images.register(ec2_backends[self.account_id][self.region_name], image)
        versions: list[Any] = dict.setdefault(self, name, [])
        if versions and versions[-1].value == image.id:
            return
        versions.append(
            Parameter(
                account_id=self.account_id,
                name=name,
                value=image.id,
                parameter_type="String",
                description=None,
                allowed_pattern=None,
                keyid=None,
                last_modified_date=world().clock.now(),
                version=len(versions) + 1,
                data_type="aws:ec2:image",
            )
        )


class Ssm(SimpleSystemManagerResponse):  # type: ignore[misc]
    """One request to Systems Manager."""

    def get_parameters_by_path(self) -> ActionResult:
        """The parameters below a path, which begins with a slash. The list is empty for a path without parameters; a
        public path in which no service publishes is refused."""
        path = self._get_param("Path")
        self._check_namespace(path)
        if not path.startswith("/"):
            raise JsonError(
                "ValidationException",
                "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a "
                'forward slash "/".',
            )
        answer: ActionResult = super().get_parameters_by_path()
        return answer

    def get_parameter(self) -> ActionResult:
        """One parameter."""
        self._check_namespace(self._get_param("Name"))
        answer: ActionResult = super().get_parameter()
        return answer

    def put_parameter(self) -> ActionResult:
        """Write a parameter; its type can't change (botocore's model, HierarchyTypeMismatchException)."""
        name, kind = self._get_param("Name"), self._get_param("Type")
        there = self.ssm_backend.get_parameters([name]).get(name)
        if there is not None and kind and kind != there.parameter_type:
            raise JsonError(
                "HierarchyTypeMismatchException",
                "Parameter Store doesn't support changing a parameter type in a hierarchy.",
            )
        answer: ActionResult = super().put_parameter()
        return answer

    def _check_namespace(self, name: str) -> None:
        """Refuses a public name that no service publishes."""
        if not name.startswith(_PUBLIC):
            return
        if name.removeprefix(_PUBLIC).partition("/")[0] not in _PUBLISHERS:
            raise JsonError(
                "ValidationException", f"{name} is not a valid namespace", inferred="no-valid-namespace"
            )

    def describe_instance_information(self) -> ActionResult:
        """The running instances with an instance profile and a way to Systems Manager: their agents have reported."""
        given = [*self._get_param("Filters", []), *self._get_param("InstanceInformationFilterList", [])]
        wanted = {
            value
            for item in given
            if item.get("Key", item.get("key")) == "InstanceIds"
            for value in item.get("Values", item.get("valueSet", []))
        }
        reported = [instance for instance in self._managed() if not wanted or instance.id in wanted]
        now = world().clock.now()
        return ActionResult(
            {
                "InstanceInformationList": [
                    {
                        "InstanceId": instance.id,
                        "PingStatus": "Online",
                        "LastPingDateTime": now,
                        "AgentVersion": "3.3.3050.0",
                        "IsLatestVersion": True,
                        "PlatformType": "Linux",
                        "PlatformName": "Ubuntu",
                        "PlatformVersion": "24.04",
                        "ResourceType": "EC2Instance",
                        "IPAddress": instance.private_ip,
                        "ComputerName": instance.private_dns_name,
                    }
                    for instance in reported
                ]
            }
        )

    def send_command(self) -> ActionResult:
        """Run Command, only on running instances, as on AWS."""
        managed = {instance.id for instance in self._managed()}
        wanted = list(self._get_param("InstanceIds", []))
        for identifier in wanted:
            if identifier not in managed:
                raise JsonError(
                    "InvalidInstanceId",
                    f"Instances [[{identifier}]] not in a valid state for account {self.current_account}",
                )
        answer: Any = super().send_command()
        sent = answer.result["Command"]
        command = self.ssm_backend.get_command_by_id(sent["CommandId"])
        if wanted:
            # moto adds every instance of the region to those that were named.
            command.instance_ids = sent["InstanceIds"] = wanted
            command.invocations = [one for one in command.invocations if one["InstanceId"] in wanted]
        fleet = world().machines
        if fleet is not None:
            for invocation in command.invocations:
                machine = fleet.machine(invocation["InstanceId"])
                if machine is not None:
                    run_command.begin(machine, invocation, sent["Parameters"])
            sent.update(Status="Pending", StatusDetails="Pending")
        return answer

    def cancel_command(self) -> ActionResult:
        """End a command on the named instances, or on all of its instances; a command that has ended does not
        change."""
        command_id, wanted = self._get_param("CommandId"), self._get_param("InstanceIds") or []
        command = next((one for one in self.ssm_backend._commands if one.command_id == command_id), None)
        if command is None:
            raise JsonError("InvalidCommandId", "")
        for invocation in command.invocations:
            instance_id = invocation["InstanceId"]
            fleet = world().machines
            machine = fleet.machine(instance_id) if fleet is not None else None
            if machine is not None and (not wanted or instance_id in wanted):
                run_command.cancel(machine, invocation)
        return ActionResult({})

    def start_session(self) -> ActionResult:
        """What Session Manager's plugin connects with; there is no real channel behind it."""
        target, document = self._get_param("Target"), self._get_param("DocumentName") or _SHELL
        if document not in (_SHELL, *_SESSION_DOCUMENTS):
            raise JsonError("InvalidDocument", f"Document with name {document} does not exist.")
        if target not in {instance.id for instance in self._managed()}:
            raise JsonError("TargetNotConnected", f"{target} is not connected.")
        session = f"local-{token_hex(9)}"
        channel = f"wss://ssmmessages.{self.region}.amazonaws.com/v1/data-channel/{session}"
        return ActionResult(
            {
                "SessionId": session,
                "TokenValue": token_hex(32),
                "StreamUrl": f"{channel}?role=publish_subscribe",
            }
        )

    def get_command_invocation(self) -> ActionResult:
        """moto's invocation with the output of the instance's machine, or the one that a test has set for it."""
        answer: Any = super().get_command_invocation()
        result = dict(answer.result)
        output, details = self._output(result)
        # moto keeps the repr of a Python list instead of the enum value.
        result.update(
            StandardOutputContent=_cut(output.stdout, _MOST_OUTPUT, "---Output truncated---"),
            StandardErrorContent=_cut(output.stderr, _MOST_ERROR, "---Error truncated----"),
            ResponseCode=output.response_code,
            Status=output.status,
            StatusDetails=details,
            # What AWS shows if nothing was requested (AWS CLI examples, get-command-invocation).
            DocumentVersion=result.get("DocumentVersion") or "",
            StandardOutputUrl="",
            StandardErrorUrl="",
            CloudWatchOutputConfig={"CloudWatchLogGroupName": "", "CloudWatchOutputEnabled": False},
        )
        if output.status not in ("Pending", "InProgress"):
            command = self.ssm_backend.get_command_by_id(self._get_param("CommandId"))
            result |= whole_outputs.write(self.current_account, self.region, command, answer.result, output)
        return ActionResult(result)

    def _output(self, invocation: Mapping[str, Any]) -> tuple[CommandOutput, str]:
        """What the command printed until now, and its status in detail."""
        instance_id = invocation["InstanceId"]
        if (fleet := world().machines) is not None:
            # The output is there before the status says so (run_command.py).
            status, details = invocation["Status"], invocation["StatusDetails"]
            if status == "InProgress" and fleet.machine(instance_id) is None:
                lean_on("run-command-of-a-gone-node")
            under_way = CommandOutput("", "", invocation["ResponseCode"], status)
            return world().invocation_outputs.get((invocation["CommandId"], instance_id), under_way), details
        outputs = world().command_outputs
        output = outputs.get(instance_id) or outputs.get("*") or CommandOutput()
        return output, output.status

    def _managed(self) -> list[Any]:
        backend = ec2_backends[self.current_account][self.region]
        backend.settle()
        fleet = world().machines
        return [
            instance
            for instance in backend.all_instances()
            if instance.state == "running"
            and instance.iam_instance_profile
            and is_managed(backend, instance)
            # An agent reports as soon as its machine is up; without machines, every agent counts as reported.
            and (fleet is None or fleet.machine(instance.id) is not None)
        ]
