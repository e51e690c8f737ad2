"""`nixl-efa local-aws`: the local AWS's own command, with its own options."""

import typer

from nixl_efa.rehearse import local_aws

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    "local-aws",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def command(context: typer.Context) -> None:
    """Start the local AWS for rehearsals and tests."""
    local_aws(context.args, context.command_path)
