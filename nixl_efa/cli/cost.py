"""`nixl-efa cost`: what an environment costs, on each market, so far and by its end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from nixl_efa.cli import output
from nixl_efa.cli.check import Environment, Profile, settings_of

if TYPE_CHECKING:
    from datetime import datetime

    from nixl_efa.cost.gather import Found


# Ten years: more is a slip.
MOST_HOURS = 87_600


def cost(
    environment: Environment,
    hours: Annotated[
        int | None,
        typer.Option(
            "--hours",
            min=1,
            max=MOST_HOURS,
            metavar="N",
            help="Hours to compare. [default: those of the block, else 24]",
        ),
    ] = None,
    billed: Annotated[
        bool,
        typer.Option(
            "--billed", help="Ask Cost Explorer what was billed. AWS charges 0.01 USD for each request."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    profile: Profile = None,
) -> None:
    """Show what an environment costs: in a Capacity Block, On-Demand and on Spot.

    All three for the same hours, with volumes and public addresses, and after how many hours the block costs less. Also
    what the running nodes have cost, and will have cost by their end. Prices come from AWS; a price that AWS does not
    tell is unknown. Only reads.
    """
    from nixl_efa.account import caller
    from nixl_efa.aws import clients_of
    from nixl_efa.capacity.buyer import own_endpoint
    from nixl_efa.cli.nodes import require_account
    from nixl_efa.clock import clock_of
    from nixl_efa.cost import gather, rendering
    from nixl_efa.cost.billed import billed as ask_billed
    from nixl_efa.cost.compare import compare, hours_to_compare
    from nixl_efa.cost.document import document
    from nixl_efa.cost.money import Unknown
    from nixl_efa.cost.running import spent
    from nixl_efa.cost.spot import currency_of
    from nixl_efa.launch import launch_of

    settings = settings_of(environment, profile)
    clients = clients_of(settings, profile)
    require_account(settings, clients)
    # One fault of the credentials or the network is an error; all that follows would be unknown for it.
    account = caller(clients.sts()).id
    if endpoint := own_endpoint(clients.ec2(settings.region).meta.endpoint_url):
        output.say(f"Prices, offers and nodes are those of {endpoint}, which is not AWS.")
    launch, clock = launch_of(settings, profile=profile or ""), clock_of(os.environ)
    found = gather.find(launch, clients, clock, account, hours)
    compared = hours_to_compare(hours, found.blocks)
    comparisons = [
        compare(request, found.rates[request.instance_type], block, length, following)
        for request, block, length, following in zip(
            launch.requests, found.blocks, compared, found.next_blocks, strict=True
        )
    ]
    now = clock.now()
    nodes = found.nodes
    parts = (
        ()
        if isinstance(nodes, Unknown)
        else spent(
            nodes,
            found.disks,
            found.running_blocks,
            found.rates,
            found.history,
            currency_of(settings.region),
            now,
        )
    )
    bill = ask_billed(launch, clients, _since(found, now), now) if billed else None
    if as_json:
        running = nodes if isinstance(nodes, Unknown) else (nodes, parts) if nodes else None
        output.print_json("cost", document(launch, comparisons, running, found.left_addresses, bill))
        return
    for line in rendering.lines(comparisons, settings.stack_name, settings.region):
        output.data(line)
    output.data("")
    if isinstance(nodes, Unknown):
        output.data(f"Whether nodes run is unknown: {nodes.reason}.")
    elif not nodes:
        for line in rendering.nothing_runs(comparisons):
            output.data(line)
    else:
        for line in rendering.running(nodes, parts):
            output.data(line)
    for line in rendering.left(found.left_addresses, comparisons[0].rates.address):
        output.data(line)
    if bill is not None:
        output.data("")
        for line in rendering.billed(bill):
            output.data(line)


def _since(found: Found, now: datetime) -> datetime:
    """From when on to ask for the bill: the first of the nodes and of the bought blocks that have begun, else a month
    ago."""
    from datetime import timedelta

    from nixl_efa.cost.blocks import Block
    from nixl_efa.cost.money import Unknown

    nodes = () if isinstance(found.nodes, Unknown) else found.nodes
    moments = [one.launched for one in nodes]
    moments += [
        one.start for one in found.blocks if isinstance(one, Block) and one.bought and one.start <= now
    ]
    return min(moments, default=now - timedelta(days=30))
