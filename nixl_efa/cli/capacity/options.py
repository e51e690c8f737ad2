"""The options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Profile = Annotated[str | None, typer.Option(help="The AWS profile.")]
Region = Annotated[str | None, typer.Option(help="The AWS region.")]
Regions = Annotated[
    list[str] | None,
    typer.Option("--region", help="An AWS region, repeatable, or all for every enabled one."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Environment = Annotated[str, typer.Option("--env", help="The environment it is for.")]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask; only with --max-fee.")]
MaxFee = Annotated[str | None, typer.Option(metavar="USD", help="Stop when the total fee is higher.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Ask EC2 whether it would be allowed; buy nothing.")]
Replace = Annotated[
    bool, typer.Option("--replace", help="Replace what Parameter Store holds for the environment, unasked.")
]
LookSeconds = Annotated[
    float, typer.Option(metavar="N", min=0, help="How long to look for a purchase whose answer was lost.")
]
SettleSeconds = Annotated[
    float,
    typer.Option(
        metavar="N", min=0, help="How old a purchase must be before not finding it means none was made."
    ),
]
ReservationId = Annotated[str, typer.Argument(metavar="ID", help="A reservation, cr-...")]
