"""`nixl-efa instance-types`: what EC2 says about instance types, and reading it from EC2 again."""

import os
import time
from collections.abc import Iterable, Set
from dataclasses import asdict
from datetime import UTC, date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer

from nixl_efa import efa_layout, instance_types
from nixl_efa.aws_errors import explain
from nixl_efa.capacity.buyer import own_endpoint
from nixl_efa.cli import output
from nixl_efa.cli.environments import environment_regions
from nixl_efa.cli.project import project_folder
from nixl_efa.files import filled_at_once
from nixl_efa.instance_types.data import DATA_FILE, DataSource, catalogue, encode
from nixl_efa.instance_types.model import InstanceType
from nixl_efa.instance_types.rdma import rdma_of
from nixl_efa.lines import Column
from nixl_efa.nixl_backend import nixl_backend

app = typer.Typer(
    help="Show and compare what EC2 says about instance types.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("list")
def list_types(
    family: Annotated[str | None, typer.Option(help="Only this family, for example p5en.")] = None,
    accelerator: Annotated[
        str | None, typer.Option(help="Only this kind of accelerator: nvidia, neuron, ..., none.")
    ] = None,
    efa: Annotated[bool, typer.Option("--efa", help="Only types with EFA.")] = False,
    capacity_block: Annotated[
        bool, typer.Option("--capacity-block", help="Only types that are sold as Capacity Blocks.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the types with EFA or accelerators."""
    known = instance_types.all_types().values()
    _known("--family", family, {one.family for one in known})
    _known("--accelerator", accelerator, {one.accelerator_kind for one in known})
    chosen = [
        one
        for one in known
        if family in (None, one.family)
        and accelerator in (None, one.accelerator_kind)
        and (one.supports_efa or not efa)
        and (one.supports_capacity_block or not capacity_block)
    ]
    if as_json:
        output.print_json("instance-types", {**_source(), "types": [_facts(one) for one in chosen]})
    else:
        _print_table(chosen)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="TYPE", help="For example p5.48xlarge.")],
    as_json: AsJson = False,
) -> None:
    """Show one type: accelerators, EFA, interfaces, volume."""
    findings = instance_types.validate(name)
    one = instance_types.find(name)
    if one is None:
        raise output.BadInput(findings[0].line())
    for finding in findings:
        output.say(f"{finding.level.value} {finding.line()}")
    if as_json:
        interfaces = [asdict(interface) for interface in efa_layout.layout(one)]
        output.print_json(
            "instance-type",
            {**asdict(instance_types.source_of(name)), **_facts(one), "interfaces": interfaces},
        )
    else:
        _print_one(one)


@app.command("refresh")
def refresh(
    regions: Annotated[
        list[str] | None,
        typer.Option(
            "--region",
            help="A region to read; can be repeated. [default: those of the environments, and AWS_REGION]",
        ),
    ] = None,
    path: Annotated[
        str, typer.Option("--output", show_default="the data file of this package", help="The file to write.")
    ] = DATA_FILE,
    day: Annotated[
        str | None, typer.Option("--date", help="The date of EC2's answers; today if AWS itself answers.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="The source to record. [default: the endpoints that were read]")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="The AWS profile.")] = None,
) -> None:
    """Read the types from EC2 and write the data file.

    One region that answers is enough: it names the types of the other regions, too. A type that no region names is kept
    as it was.
    """
    from nixl_efa.aws import Clients
    from nixl_efa.instance_types.refresh import refresh as read

    noted = _date(day)
    made = Clients(profile)
    clients = {region: made.ec2(region) for region in regions or _own_regions(made.region)}
    endpoints = ", ".join(dict.fromkeys(client.meta.endpoint_url for client in clients.values()))
    elsewhere = [url for client in clients.values() if (url := own_endpoint(client.meta.endpoint_url))]
    if elsewhere and not (day and source):
        raise output.BadInput(
            f"{elsewhere[0]} is not AWS, so how old its facts are is not known: give --date and --source."
        )
    known = catalogue()
    found = read(
        clients, known, DataSource(noted, source or f"EC2 DescribeInstanceTypes, {endpoints}"), time.sleep
    )
    reasons = [f"{region}: {explain(error)}" for region, error in found.refused.items()]
    if len(reasons) == len(clients):
        raise output.Failure(f"no region could be read, and {path} is as it was. {' '.join(reasons)}")
    if not found.named:
        raise output.Failure(f"{endpoints} named no type with EFA or accelerators; {path} is as it was.")
    for reason in reasons:
        output.say(f"Left out, {reason}")
    try:
        target = Path(path)
        with filled_at_once(target.parent.resolve(strict=True), last=target.name) as folder:
            (folder / target.name).write_text(encode(found.catalogue), encoding="utf-8", newline="\n")
    except OSError as error:
        raise output.BadInput(
            f"--output {path} can't be written: {error.strerror}. Name another file."
        ) from error
    new, kept = found.named - known.types.keys(), found.catalogue.older
    output.say(f"{path}: {len(found.catalogue.types)} types. New: {_names(new)}. Kept: {_names(kept)}.")


def _own_regions(default: str | None) -> list[str]:
    """The regions of the project's environments, faulty ones too (this may be what mends them), and the default."""
    regions = environment_regions(os.environ, project_folder())
    found = list(dict.fromkeys([*regions, *([default] if default else [])]))
    if not found:
        raise output.BadInput(
            "no region is known: run this in the project's folder or below it, give --region, or set AWS_REGION."
        )
    return found


def _known(option: str, value: str | None, values: Set[str]) -> None:
    if value is not None and value not in values:
        like = ", ".join(get_close_matches(value, sorted(values), 5, cutoff=0))
        raise output.BadInput(f"{option} {value!r} is not in the data. The nearest are {like}.")


def _date(day: str | None) -> str:
    if day is None:
        return datetime.now(UTC).date().isoformat()
    try:
        return date.fromisoformat(day).isoformat()
    except ValueError:
        raise output.BadInput(f"--date {day!r} is not a date such as 2026-11-23.") from None


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _source() -> dict[str, str]:
    return asdict(instance_types.data_source())


def _facts(one: InstanceType) -> dict[str, Any]:
    return {
        **asdict(one),
        "supports_efa": one.supports_efa,
        "supports_capacity_block": one.supports_capacity_block,
        "accelerator_kind": one.accelerator_kind,
        "default_volume_gib": instance_types.default_volume_gib(one.name),
    }


def _accelerators(one: InstanceType) -> str:
    each = [f"{a.count} x {a.name} ({a.memory_gib:.4g} GiB)" for a in one.accelerators]
    return ", ".join(each) or "none"


def _block(one: InstanceType) -> str:
    return "yes" if one.supports_capacity_block else "no"


def _print_table(types: Iterable[InstanceType]) -> None:
    source = instance_types.data_source()
    columns = [
        Column("TYPE"),
        Column("ACCELERATORS", 4),
        Column("EFA", right=True),
        Column("GBPS", right=True),
        Column("VCPU", 2, right=True),
        Column("MEMORY GIB", 3, right=True),
        Column("VOLUME GIB", 1, right=True),
        Column("CAPACITY BLOCK", 5),
    ]
    rows = []
    for one in types:
        figures = (one.efa_interfaces, one.network_gbps, one.vcpu, one.memory_gib)
        volume = instance_types.default_volume_gib(one.name)
        cells = [f"{figure:g}" for figure in (*figures, volume)]
        rows.append([one.name, _accelerators(one), *cells, _block(one)])
    output.print_rows(columns, rows)
    output.say(f"{len(rows)} types. {source.source}, {source.date}.")


def _print_one(one: InstanceType) -> None:
    from rich.table import Table

    interfaces = efa_layout.layout(one)
    source = instance_types.source_of(one.name)
    rows = {
        "Type": one.name,
        "vCPU": str(one.vcpu),
        "Memory": f"{one.memory_gib:g} GiB",
        "Accelerators": _accelerators(one),
        "Network": f"{one.network_gbps:g} Gbps",
        "Network cards": str(len(one.network_cards)),
        "EFA interfaces": str(one.efa_interfaces),
        "A node's interfaces": _interfaces(interfaces),
        "RDMA over EFA": _rdma(one),
        "NIXL": str(nixl_backend(one.name, one.accelerator_kind, efa_layout.efa_interface_count(interfaces))),
        "Capacity Block": _block(one),
        "Usage classes": ", ".join(one.usage_classes),
        "Placement groups": ", ".join(one.placement_strategies),
        "Architecture": ", ".join(one.architectures),
        "Instance storage": f"{one.instance_storage_gb} GB",
        "Root volume": f"{instance_types.default_volume_gib(one.name)} GiB by default",
        "Source": f"{source.source}, {source.date}",
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    for label, value in rows.items():
        table.add_row(label, value)
    output.print_table(table)


def _rdma(one: InstanceType) -> str:
    if not one.supports_efa:
        return "none"
    found = rdma_of(one.name)
    if found is None:
        return "not known"
    able = {"read": found.read, "write": found.write, "GPUDirect": found.gpudirect}
    return f"{', '.join(name for name, has in able.items() if has) or 'none'} ({found.source})"


def _interfaces(interfaces: tuple[efa_layout.Interface, ...]) -> str:
    primary, *others = interfaces
    text = f"{primary.interface_type} on network card 0"
    if not others:
        return text
    cards = [interface.network_card_index for interface in others]
    where = f"network card {cards[0]}" if len(cards) == 1 else f"network cards {cards[0]} to {cards[-1]}"
    return f"{text}; {len(others)} {others[0].interface_type} on {where}"
