"""State files on this machine to which the settings no longer lead: of an environment whose file is gone, and of one
whose backend was changed.

Without a warning, nobody would notice the first, and its nodes would run and cost money. In the second case, a deploy
would start with an empty state and create a second pair.
"""

import itertools
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from nixl_efa import state
from nixl_efa.cdk import program
from nixl_efa.failure import Failure
from nixl_efa.findings import Finding, counted, failed, listed, passed, warned
from nixl_efa.settings import CloudBackend, LocalBackend, Settings
from nixl_efa.settings.model import STACK_PREFIX
from nixl_efa.settings.names import variable
from nixl_efa.state import SELECTED_WORKSPACE, STATE_FOLDER, State

CHECK = "state"


def abandoned(project: Path, names: Collection[str]) -> dict[str, Finding]:
    """A WARN for each local state that still holds resources, and whose environment has no file; by environment.

    project: the folder of cdktf.out, below which local states lie. names: of the environments that have a file.
    """
    found = {}
    for path in sorted((project / STATE_FOLDER).glob(f"{STACK_PREFIX}*.tfstate")):
        name = path.stem.removeprefix(STACK_PREFIX)
        if name not in names and (old := _load(path)) is not None and old.resources:
            found[name] = _abandoned(name, path, old)
    return found


def _abandoned(name: str, path: Path, old: State) -> Finding:
    region = next(_regions(old), "")
    least = f' (region = "{region}" and any instance_type are enough)' if region else ""
    return warned(
        "environments",
        f"{STATE_FOLDER}/{path.name} still holds {_contents(old)}, but environments/{name}.toml is gone:"
        " no command can reach them, and what runs is billed.",
        f"Put environments/{name}.toml back, with exactly this name{least}, and run"
        f" `{program()} destroy {STACK_PREFIX}{name}`.",
    )


def in_cdktf_out(outdir: Path) -> list[Finding]:
    """A FAIL for each state below a folder of synthesized stacks that holds resources: Terraform keeps that of a
    workspace there where the backend is local, and a synthesis deletes the folder of every stack that it leaves out."""
    found = []
    for path in sorted(outdir.glob("stacks/*/terraform.tfstate.d/*/terraform.tfstate")):
        if (held := _load(path)) is None or held.resources:
            stack, workspace = path.parents[2], path.parent.name
            what = "can't be read" if held is None else f"holds {_contents(held)}"
            found.append(
                failed(
                    CHECK,
                    f"{path} {what}: a synthesis may delete it.",
                    f"Destroy what it holds: `TF_WORKSPACE={workspace} terraform -chdir={stack} destroy`. Or move the"
                    f" file to {STATE_FOLDER}/{stack.name}.tfstate, if there is none.",
                )
            )
    return found


def selected_workspace(settings: Settings, stack_folder: Path) -> Finding | None:
    """A FAIL where Terraform was told in the stack's folder to keep a local state by another workspace."""
    try:
        name = (stack_folder / SELECTED_WORKSPACE).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    if name in ("", "default") or not isinstance(settings.backend, LocalBackend):
        return None
    at = f"cdktf.out/stacks/{settings.stack_name}"
    return failed(
        CHECK,
        f"{at} has Terraform's workspace {name} selected: its state would lie in cdktf.out, and be lost.",
        f"Run `terraform -chdir={at} workspace select default`.",
    )


def settle_changed_backend(
    settings: Settings,
    project: Path,
    stack_folder: Path,
    read: Callable[[], State],
) -> Finding | None:
    """The finding about an environment whose backend was changed; None for any other. May also move a file.

    WARN: Terraform still remembers the old backend in the stack's folder, and refuses to continue before the state is
    moved. FAIL: nothing stops a deploy from starting with an empty state. PASS: the state was moved; this function
    renames the old file, so that it is never used again by mistake.

    stack_folder: the stack's folder in cdktf.out. read: the state as the environment's backend holds it, or Failure.
    """
    place, was = settings.state_place, remembered_place(stack_folder)
    if was and was != place:
        return _not_yet_moved(settings, was)
    path = state.local_state(settings, project)
    if isinstance(settings.backend, LocalBackend) or not path.exists():
        return None
    old = _load(path)
    if old is not None and not old.resources:
        return None
    if old is None:
        return _two_states(settings, path, "can't be read")
    try:
        new = read()
    except Failure as error:
        return _two_states(
            settings, path, f"holds {_contents(old)}, and the state there can't be read: {error.message}"
        )
    if all(_has(new, one.address, one.id) for one in old.resources.values()):
        aside = next(one for one in _names_aside(path) if not one.exists())
        path.rename(aside)
        message = f"{settings.stack_name}: the state is in {place} and holds all that {_shown(path)} held;"
        return passed(CHECK, f"{message} that file is kept as {_shown(aside)}.")
    if new.resources:
        return _two_states(
            settings, path, f"holds {_contents(old)}, and the state there other ones: {_contents(new)}"
        )
    return _never_moved(settings, path, old)


def remembered_place(stack_folder: Path) -> str:
    """Where the state was when Terraform was last made ready in a stack's folder, in the form of Settings.state_place;
    empty where it was not, or where that can't be told."""
    document = _json(stack_folder / ".terraform" / "terraform.tfstate") or {}
    backend = document.get("backend") or {}
    config: Mapping[str, Any] = backend.get("config") or {}
    match backend.get("type"):
        case "local":
            return "local"
        case "s3":
            return f"s3://{config.get('bucket')}/{config.get('key')}"
        case "cloud":
            workspaces = config.get("workspaces") or {}
            name = workspaces.get("name") or "+".join(workspaces.get("tags") or ())
            return f"{config.get('hostname') or 'app.terraform.io'}/{config.get('organization')}/{name}"
    return ""


def _not_yet_moved(settings: Settings, was: str) -> Finding:
    name = settings.stack_name
    return warned(
        CHECK,
        f"{name}: the state is in {was}, and {_chosen(settings)} now: nothing can be deployed before it is moved.",
        f"{_moving(settings, was)} Never use Terraform's -reconfigure: it begins an empty state, and the next deploy"
        " builds a second pair.",
    )


def _moving(settings: Settings, was: str) -> str:
    """The commands with which Terraform moves a state from the remembered place to the new one."""
    name = settings.stack_name
    init = f"terraform -chdir=cdktf.out/stacks/{name} init"
    if was != "local" and not was.startswith("s3://"):
        return (
            "Terraform can't move a state out of Terraform Cloud: set backend back, or write the state to a file there"
            " (`terraform state pull`) and give that to the new backend (`terraform state push`)."
        )
    if isinstance(settings.backend, CloudBackend):
        # -migrate-state is refused for it.
        return f"After `{program()} synth`: `{init}` at a terminal asks whether to move it."
    return (
        f"`{program()} deploy {name} --migrate-state` moves it and deploys; by Terraform alone,"
        f" after `{program()} synth`: `{init} -migrate-state`."
    )


def _never_moved(settings: Settings, path: Path, old: State) -> Finding:
    name, local = settings.stack_name, f"{variable('backend', settings.name)}=local"
    return failed(
        CHECK,
        f"{name}: {_chosen(settings)}, but {_shown(path)} on this machine holds {_contents(old)}, and the state there"
        " nothing: a deploy would build a second pair.",
        f"To move it, let Terraform remember it first: `rm -rf cdktf.out`, `{local} {program()} synth`,"
        f" `terraform -chdir=cdktf.out/stacks/{name} init`. Then: {_moving(settings, 'local')}"
        f" If the file is of no use any more: {_put_aside(path)}.",
    )


def _two_states(settings: Settings, path: Path, what: str) -> Finding:
    local = f"{variable('backend', settings.name)}=local"
    return failed(
        CHECK,
        f"{settings.stack_name}: {_chosen(settings)}, but {_shown(path)} on this machine {what}.",
        f"Look which of them runs. What only the file knows is destroyed by `rm -rf cdktf.out`,"
        f" `{local} {program()} destroy {settings.stack_name}`. If the file is of no use any more: {_put_aside(path)}.",
    )


def _chosen(settings: Settings) -> str:
    return f"backend is {settings.state_place} ({settings.source('backend').label})"


def _put_aside(path: Path) -> str:
    return f"`mv {_shown(path)} {_shown(path)}.moved`"


def _names_aside(path: Path) -> Iterator[Path]:
    yield path.with_name(f"{path.name}.moved")
    for number in itertools.count(2):
        yield path.with_name(f"{path.name}.moved-{number}")


def _shown(path: Path) -> str:
    return f"{STATE_FOLDER}/{path.name}"


def _contents(held: State) -> str:
    """What a state holds, in words."""
    nodes = [one.id for one in held.nodes.values() if one.id]
    of_those = f", the nodes {listed(nodes)} among them" if nodes else ""
    return f"{counted(len(held.resources), 'resource')}{of_those}"


def _has(held: State, address: str, resource_id: str) -> bool:
    return address in held.resources and held.resources[address].id == resource_id


def _regions(held: State) -> Iterator[str]:
    """The regions in the ARNs of what runs there: arn:aws:ec2:REGION:ACCOUNT:instance/ID."""
    for one in held.resources.values():
        parts = str(one.attributes.get("arn") or "").split(":")
        if len(parts) > 3 and parts[3]:
            yield parts[3]


def _load(path: Path) -> State | None:
    document = _json(path)
    return None if document is None else state.parse(document)


def _json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; {} for an empty file, None where there is none or it can't be read."""
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if text.strip() else {}
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None
