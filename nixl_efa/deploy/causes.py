"""Why a plan replaces a node, or what it changes on one, named by the settings whose values changed. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nixl_efa.settings import Settings
from nixl_efa.settings.model import SETTING_NAMES
from nixl_efa.settings.parts import CONSUMER, PRODUCER
from nixl_efa.settings.source import DEFAULT, shown

# A plan's resource changes by address.
Resources = Mapping[str, Mapping[str, Any]]

# The settings behind the attributes of aws_instance, of its root volume, and the keys of terraform_data.launch.
_SETTINGS = {
    "volume_size": "volume_size",
    "iops": "volume_iops",
    "throughput": "volume_throughput",
    "key_name": "key_name",
    "placement_group": "placement_group",
}
_UNKNOWN = object()


@dataclass(frozen=True, slots=True)
class Cause:
    """One value that changed.

    what:   a setting's name, else a name in words.
    before, after: the values as text, "none" for none, "new" for one that is not known yet.
    source: where the setting's value came from; empty when no setting decides it.
    note:   more information; then before and after may be empty.
    """

    what: str
    before: str = ""
    after: str = ""
    source: str = ""
    note: str = ""

    def __str__(self) -> str:
        text = self.what
        if self.before or self.after:
            text += f" went from {self.before} to {self.after}"
        if self.source:
            text += f" ({self.source})"
        return f"{text}: {self.note}" if self.note else text


def in_place(change: Mapping[str, Any], settings: Settings) -> Iterator[Cause]:
    """The causes of a node's change in place."""
    before, after = change["change"]["before"], change["change"]["after"]
    unknown = change["change"].get("after_unknown") or {}
    for name in sorted(after):
        if name == "tags_all" or unknown.get(name) is True or before.get(name) == after[name]:
            continue
        if name == "root_block_device" and before.get(name) and after[name]:
            was, becomes = before[name][0], after[name][0]
            for inner in sorted(becomes):
                if inner not in ("tags", "tags_all") and was.get(inner) != becomes[inner]:
                    yield _named(inner, was.get(inner), becomes[inner], settings)
        elif name == "tags":
            was, becomes = before[name] or {}, after[name] or {}
            for key in sorted({*was, *becomes}):
                if was.get(key) != becomes.get(key):
                    yield Cause(f"the tag {key}", _text(was.get(key)), _text(becomes.get(key)))
        else:
            yield _named(name, before.get(name), after[name], settings)


def of_replacement(change: Mapping[str, Any], resources: Resources, settings: Settings) -> list[Cause]:
    """Why a node is destroyed or replaced: the first causes, without the changes that follow from them."""
    reason = change.get("action_reason", "")
    if reason == "replace_because_tainted":
        note = (
            "an apply was interrupted while it was being built, and it may still run; "
            f"`nixl-efa mend {settings.name}` keeps it"
        )
        return [Cause("Terraform considers it incomplete (tainted)", note=note)]
    if reason.startswith("delete_"):
        number = {PRODUCER: "producers", CONSUMER: "consumers"}.get(change["name"].partition("_")[0], "")
        if not number:
            return [Cause(f"{change['name']} is no node of {settings.stack_name} any more")]
        return [Cause(f"{number} is {getattr(settings, number)} now", source=_source(number, settings))]
    resources, own = _of_node(change["name"], resources, settings)
    found = [*_of_paths(change, resources, own), *_of_triggers(resources, own)]
    # Several changes can have the same setting as their cause.
    return [*dict.fromkeys(found)] or [Cause(reason.replace("_", " ") or "Terraform names no reason")]


def _of_node(name: str, resources: Resources, settings: Settings) -> tuple[Resources, Settings]:
    """The resources and the settings that decide about one node, by its name in Terraform: without the resources that
    replace only other nodes, and with its role's own image instead of the environment's.

    When the nodes are not all launched alike, or were not before, there is no resource that replaces all of them.
    """
    prefix = "terraform_data.launch_"
    mine = {at: one for at, one in resources.items() if not at.startswith(prefix) or at == f"{prefix}{name}"}
    role, _, number = name.partition("_")
    node = (role, int(number) if number.isdigit() else 1)
    own = next((settings.of(part) for part in settings.parts if node in part.nodes), settings)
    if own_image := mine.get(f"terraform_data.image_{role}"):
        mine["terraform_data.image"] = own_image
    of_node, of_all = mine.get(f"{prefix}{name}"), mine.get("terraform_data.launch")
    were_alike = of_all is None or "create" not in of_all["change"]["actions"]
    if of_node is None or (len(settings.parts) == 1 and were_alike):
        return mine, own
    kept = {at: one for at, one in mine.items() if at != "terraform_data.placement"}
    kept["terraform_data.launch"] = of_node
    return kept, own


def _of_paths(change: Mapping[str, Any], resources: Resources, settings: Settings) -> Iterator[Cause]:
    """The causes from attributes that EC2 can't change on an instance."""
    before, after = change["change"]["before"], change["change"]["after"]
    for name in dict.fromkeys(path[0] for path in change["change"].get("replace_paths", ()) if path):
        value = after.get(name) if name in after else _UNKNOWN
        if name == "ami":
            yield from _of_image(before.get("ami"), value, resources, settings)
        else:
            yield _named(str(name), before.get(name), value, settings)


def _of_image(before: Any, after: Any, resources: Resources, settings: Settings) -> Iterator[Cause]:
    """The cause for a new image: it is given, or a parameter named it when it was frozen
    (constructs_lib.terraform.frozen)."""
    if settings.ami_id:
        yield _setting("ami_id", before, after, settings)
        return
    if not settings.ami_parameter and _launch_changes(resources, "instance_type"):
        return  # It follows from the type, which is told.
    frozen = resources.get("terraform_data.image")
    changed = _of_choices(frozen, settings) if frozen else []
    yield from changed or [_setting("ami_id", before, after, settings)]


def _of_triggers(resources: Resources, settings: Settings) -> Iterator[Cause]:
    """The causes from the terraform_data resources whose change replaces nodes (constructs_lib.node_pair)."""
    for one in resources.values():
        actions = set(one["change"]["actions"])
        if (
            one.get("type") != "terraform_data"
            or one["name"].partition("_")[0] in ("image", "subnet")
            or "update" not in actions
        ):
            continue
        before, after = _input(one, "before"), _input(one, "after")
        unknown = (one["change"].get("after_unknown") or {}).get("input") or {}
        if not isinstance(unknown, Mapping):
            unknown = dict.fromkeys(before, True)
        for key in sorted({*before, *after}):
            value = _UNKNOWN if unknown.get(key) is True else after.get(key)
            if value != before.get(key):
                yield from _of_input(key, before.get(key), value, resources, settings)


def _of_input(key: str, before: Any, after: Any, resources: Resources, settings: Settings) -> Iterator[Cause]:
    if key == "market":
        yield from _of_market(before or "", after or "", settings)
    elif key == "capacity_reservation_id":
        yield _of_reservation(before, after, settings)
    elif key == "subnet_id":
        frozen = resources.get("terraform_data.subnet")
        changed = _of_choices(frozen, settings) if frozen else []
        yield from changed or [_setting(key, before, after, settings)]
    elif key == "interfaces":
        # When the type changes too, they follow from it.
        if not _launch_changes(resources, "instance_type"):
            yield Cause("the layout of the EFA interfaces", shown(before), shown(after))
    elif key == "group":
        # With "auto" the group follows from the capacity, which is then the cause.
        if settings.placement_group != "auto" or not _capacity_changes(resources):
            words = {True: "a group", False: "no group"}
            yield Cause(
                "placement_group",
                words[bool(before)],
                words[bool(after)],
                _source("placement_group", settings),
            )
    elif key == "security_group_id" and not settings.security_group_id:
        yield Cause(key, _text(before), "one of the stack's own", _source(key, settings))
    else:
        yield _named(key, before, after, settings)


def _launch_changes(resources: Resources, key: str) -> bool:
    """Whether a key of terraform_data.launch gets another value; a resource that is created now had none."""
    launch = resources.get("terraform_data.launch")
    if launch is None or not launch["change"].get("before"):
        return False
    return _input(launch, "before").get(key) != _input(launch, "after").get(key)


def _capacity_changes(resources: Resources) -> bool:
    return any(_launch_changes(resources, key) for key in ("market", "capacity_reservation_id"))


def _of_choices(frozen: Mapping[str, Any], settings: Settings) -> list[Cause]:
    """The user's changed choices because of which a frozen value is read again; without changes that follow from
    these."""
    before = frozen["change"].get("before") or {}
    after = frozen["change"].get("after") or {}
    was, becomes = before.get("triggers_replace"), after.get("triggers_replace")
    if not isinstance(was, Mapping) or not isinstance(becomes, Mapping):
        return []
    unknown = (frozen["change"].get("after_unknown") or {}).get("triggers_replace") or {}
    found = []
    for key in sorted({*was, *becomes}):
        value = _UNKNOWN if isinstance(unknown, Mapping) and unknown.get(key) is True else becomes.get(key)
        if was.get(key) == value:
            continue
        if frozen["name"].partition("_")[0] == "image":
            found.append(_setting("ami_parameter", was.get(key), value, settings))
        elif key == "availability_zone" and settings.availability_zone_parameter:
            what = f"the zone in {settings.availability_zone_parameter}"
            source = _source("availability_zone_parameter", settings)
            found.append(Cause(what, _text(was.get(key)), _text(value), source))
        else:
            found.append(_named(key, was.get(key), value, settings))
    return [cause for cause in found if cause.source != DEFAULT.label] or found


def _of_market(before: str, after: str, settings: Settings) -> Iterator[Cause]:
    words = {"capacity-block": "use_capacity_block", "spot": "spot"}
    for value, setting in words.items():
        if value in (before, after):
            yield _setting(setting, before == value, after == value, settings)


def _of_reservation(before: Any, after: Any, settings: Settings) -> Cause:
    if settings.capacity_reservation_parameter:
        name = "capacity_reservation_parameter"
        what = f"the reservation in {settings.capacity_reservation_parameter}"
        return Cause(what, _text(before), _text(after), _source(name, settings))
    return _setting("capacity_reservation_id", before, after, settings)


def _named(name: str, before: Any, after: Any, settings: Settings) -> Cause:
    setting = _SETTINGS.get(name, name)
    if setting in SETTING_NAMES:
        return _setting(setting, before, after, settings)
    return Cause(name, _text(before), _text(after))


def _setting(setting: str, before: Any, after: Any, settings: Settings) -> Cause:
    return Cause(setting, _text(before), _text(after), _source(setting, settings))


def _source(setting: str, settings: Settings) -> str:
    return settings.source(setting).label


def _input(change: Mapping[str, Any], moment: str) -> Mapping[str, Any]:
    value = (change["change"].get(moment) or {}).get("input")
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    if value is _UNKNOWN:
        return "a new one"
    if value in (None, "", [], {}):
        return "none"
    return value if isinstance(value, str) else shown(value)
