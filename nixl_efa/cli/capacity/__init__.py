"""`nixl-efa capacity`: Capacity Blocks and reservations."""

import typer

from nixl_efa.cli.capacity.buy import buy, extend, load, recover, save, switch
from nixl_efa.cli.capacity.calendar import calendar
from nixl_efa.cli.capacity.fill import fill
from nixl_efa.cli.capacity.reservations import cancel, list_, show, wait
from nixl_efa.cli.capacity.search import search

app = typer.Typer(
    name="capacity",
    help="Find, buy and extend Capacity Blocks; assign them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
app.command("search")(search)
app.command("calendar")(calendar)
app.command("buy")(buy)
app.command("purchase", hidden=True, help="The same as buy.")(buy)
app.command("recover")(recover)
app.command("list")(list_)
app.command("show")(show)
app.command("wait")(wait)
app.command("extend")(extend)
app.command("cancel")(cancel)
app.command("save")(save)
app.command("switch")(switch)
app.command("load")(load)
app.command("fill")(fill)
