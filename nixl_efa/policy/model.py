"""What the table of permissions is made of. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, get_args

Command = Literal[
    "deploy",
    "destroy",
    "capacity",
    "check",
    "cost",
    "verify",
    "connect",
    "run",
    "copy",
    "forward",
    "ssh-config",
    "prepare",
    "all",
]
COMMANDS: tuple[Command, ...] = get_args(Command)
# `nixl-efa deploy` checks before and verifies after. `mend` needs no more than deploy, `status`, `nodes sync` and
# `serve` and `bench` no more than verify, and `logs` no more than run.
INCLUDED: dict[Command, tuple[Command, ...]] = {
    "deploy": ("deploy", "check", "verify"),
    "copy": ("copy", "run"),
    "ssh-config": ("ssh-config", "run"),
    "all": COMMANDS,
}


class On(StrEnum):
    """What an action is allowed on: document.py has the resources and conditions of each."""

    ANYTHING = "Look"  # the action has no resources, or is only a look
    LAUNCHED_WITH = "LaunchWith"
    NODES_MADE = "LaunchNodes"
    MADE = "Make"
    MADE_IN = "MakeIn"
    TAGGED_AT_CREATION = "TagWhatIsMade"
    VOLUMES_TAGGED = "TagVolumes"
    OWN = "ChangeOwn"
    NODES = "ChangeNodes"
    ROLE = "Role"
    ROLE_PASSED = "PassRole"
    PROFILE = "Profile"
    PROFILE_GIVEN = "GivenProfile"
    SPOT_ROLE = "SpotRole"
    BUCKET = "ScriptsBucket"
    SCRIPTS = "EmptyScriptsBucket"
    MEMBERS = "WriteMembers"
    OUTPUTS = "LongOutputs"
    OUTPUTS_SENT = "SentOutputs"
    COPIES = "Copies"
    MODELS_BUCKET = "ModelsBucket"
    MODELS = "StageModels"
    PARAMETERS = "Parameters"
    PARAMETERS_KEPT = "KeepParameters"
    PARAMETERS_BESIDE = "OtherEnvironments"
    BLOCKS_BOUGHT = "Buy"
    BLOCKS_CHANGED = "ChangeBlocks"
    COMMANDS_RUN = "RunCommand"
    ON_NODES = "RunOnNodes"
    SESSION_STARTED = "StartSession"
    FORWARDING_STARTED = "StartForwarding"
    SSH_STARTED = "StartSsh"
    SESSION_KEPT = "OwnSessions"
    STATE_FOUND = "StateBucket"
    STATE_READ = "ReadState"
    STATE_WRITTEN = "WriteState"
    STATE_LOCKED = "LockState"
    STATE_TABLE = "LockTable"
    VOLUME_KEY = "VolumeKey"
    VOLUME_KEY_GRANTED = "GrantVolumeKey"
    STATE_KEY = "StateKey"
    BOUNDED = "BoundRole"


@dataclass(frozen=True, slots=True)
class Row:
    """Some actions. why: which part of the commands makes the calls, and what for."""

    actions: tuple[str, ...]
    commands: tuple[Command, ...]
    on: On
    why: str
