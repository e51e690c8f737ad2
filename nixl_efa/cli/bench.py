"""`nixl-efa bench`: a service measured in layers, one engine alone, over EFA and over TCP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nixl_efa.cli import output
from nixl_efa.cli.nodes import AsJson, Environment, Profile
from nixl_efa.cli.project import project_folder
from nixl_efa.findings import Finding, counted
from nixl_efa.times import moment, span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nixl_efa.bench.plan import Row
    from nixl_efa.bench.results import Result
    from nixl_efa.bench.run import Measurement, Outcome
    from nixl_efa.nodes.verify import PairReport


def bench(
    environment: Environment,
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="The rows to measure, a TOML file.")],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="FOLDER",
            file_okay=False,
            help="Folder of the results. [default: measurements/ENV in the project]",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Agree that the engines are started again.")] = False,
    mlflow: Annotated[
        bool,
        typer.Option("--mlflow", help="Also log to MLFLOW_TRACKING_URI, else to the server of the settings."),
    ] = False,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Measure the service that was started on an environment, row after row of a table.

    The engines are started again for each layer (unified, tcp, baseline with efa), with the same model and flags. At
    the end the service is put back. A row that has a result is not measured again, so the same command continues after
    Ctrl-C. Exits with 1 unless every row has a result.
    """
    from dataclasses import replace

    from nixl_efa.bench import plan, results, run, tracking
    from nixl_efa.cli.environments import environment_settings
    from nixl_efa.cli.serve import nodes_of
    from nixl_efa.clock import clock_of
    from nixl_efa.service.model import PLANNED, service_of
    from nixl_efa.service.status import told_service
    from nixl_efa.service.way import EFA

    rows = plan.read(_text(table), str(table))
    settings = environment_settings(environment, os.environ, project_folder(), profile)
    server = tracking.server(os.environ, settings.mlflow_tracking_server_arn or "") if mlflow else ""
    nodes, planned, way, by_aws = nodes_of(environment, profile, running=True)
    seen, _ = nodes.look()
    service = told_service(seen)
    if service is None:
        raise output.Failure(
            f"no service was started on {environment}: `nixl-efa serve start {environment} --model MODEL`."
        )
    if way.wire != EFA and any(one.layer == plan.EFA for one in rows):
        raise output.BadInput(
            f"{table} has the layer efa, and the nodes of {environment} have no EFA: take tcp."
        )
    # A row that is too long would fail when its layer has started.
    most = nodes.engine.context(service.flags)
    if most and (long := next((row for row in rows if row.prompt_tokens + row.output_tokens > most), None)):
        raise output.BadInput(
            f"{table}: {long.name} has {long.prompt_tokens} tokens of prompt and {long.output_tokens} of answer, and "
            f"--max-model-len of the service allows {most}: shorten the row, or start the service with more."
        )
    router = seen[nodes.router_node.name].router if nodes.router_node.name in seen else None
    # A measurement that was killed has left the engines of its layer: the service is still the one for users.
    left_over = any(
        one.service and (told := service_of(dict(one.service))) and told.transfer != PLANNED
        for one in seen.values()
    )
    service = replace(service, transfer=PLANNED)
    where = folder or project_folder() / results.FOLDER / environment
    clock = clock_of(os.environ)
    one = run.Measurement(
        nodes=nodes,
        service=service,
        planned=planned,
        way=way,
        folder=where,
        runs=left_over or (router is not None and router.is_up),
        clock=clock,
        say=output.say,
        done=lambda found: output.say(
            f"  {found.measured.answered} requests in {found.measured.seconds:.1f} s"
        ),
    )
    earlier = results.read(where, one.setup, rows, nodes.engine)
    left = [row for row in rows if row not in earlier]
    # Before anything is stopped: a folder that can't be written would be found after the first row.
    _write_page(one, environment, rows, earlier)
    if left:
        _ask(one, environment, left, len(rows), by_aws, yes=yes)
    outcome = run.Outcome()
    try:
        run.measure(one, rows, outcome)
    except KeyboardInterrupt:
        for about, finding in outcome.found:
            output.say(_line(about, finding))
        raise output.Failure(
            f"interrupted: {len(outcome.results)} of {len(rows)} rows have a result in {where}. The same command "
            f"measures the others; `nixl-efa serve status {environment}` shows what runs.",
            exit_code=130,
        ) from None
    _tell(one, environment, rows, outcome, server, as_json=as_json)
    if outcome.is_stopped or len(outcome.results) < len(rows):
        raise typer.Exit(1)


def _text(table: Path) -> str:
    try:
        return table.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise output.BadInput(f"{table} can't be read: {why}.") from None


def _ask(
    one: Measurement, environment: str, left: Sequence[Row], every: int, by_aws: PairReport, *, yes: bool
) -> None:
    """Says what will be done, and asks. Failure if nobody agrees."""
    from nixl_efa.bench import plan
    from nixl_efa.capacity.judge import stops_at

    least = plan.least(left)
    output.say(
        f"{counted(len(left), 'row')} of {every} to measure on {environment}, with {one.service.model}: "
        f"{counted(plan.starts(left), 'start')} of the engines, at least {span(least)}."
    )
    ends = [
        end for held in by_aws.held if held.block is not None and (end := stops_at(held.block)) is not None
    ]
    if ends and min(ends) - one.clock.now() < least:
        output.say(
            f"WARN capacity: EC2 begins to terminate the nodes at {moment(min(ends))}, in "
            f"{span(min(ends) - one.clock.now())}: not all rows will have a result."
        )
    if one.runs and not yes:
        answer = output.ask(
            f"The service on {environment} answers nobody until it is put back at the end. Type yes to agree:"
        )
        if answer != "yes":
            raise output.Failure("nothing was measured, and the service runs as before.")


def _tell(
    one: Measurement, environment: str, rows: Sequence[Row], outcome: Outcome, server: str, *, as_json: bool
) -> None:
    """The table or the document, the page and MLflow."""
    from nixl_efa.bench import tracking
    from nixl_efa.bench.text import COLUMNS, cells

    found = [outcome.results[row] for row in rows if row in outcome.results]
    path = _write_page(one, environment, rows, outcome.results)
    if as_json:
        output.print_json("bench", document(one, environment, rows, outcome, path))
    else:
        for about, finding in outcome.found:
            output.data(_line(about, finding))
        if found:
            output.print_rows(COLUMNS, [cells(each) for each in found])
        output.data(f"{len(found)} of {len(rows)} rows have a result: {path}")
    if server and found:
        files = [(one.setup.path(one.folder, each.row), each) for each in found]
        logged = tracking.log(
            server,
            f"nixl-efa-{environment}",
            [(f"{file.stem} {each.at:%Y-%m-%dT%H:%M:%SZ}", file, _body(one, each)) for file, each in files],
        )
        output.say(
            f"{counted(logged, 'row')} logged to {tracking.without_password(server)}, {len(found) - logged} were there."
        )


def _write_page(one: Measurement, environment: str, rows: Sequence[Row], known: Mapping[Row, Result]) -> Path:
    """The page of the rows that have a result, in the table's order; Failure if it can't be written."""
    from nixl_efa.bench.page import page
    from nixl_efa.files import put

    path = one.folder / "index.html"
    try:
        one.folder.mkdir(parents=True, exist_ok=True)
        put(path, page(environment, one.service, [known[row] for row in rows if row in known], len(rows)))
    except OSError as error:
        raise output.Failure(f"{path} can't be written: {error.strerror}.") from error
    return path


def _body(one: Measurement, found: Result) -> Mapping[str, Any]:
    """What a row's file says, for MLflow."""
    return {**one.setup.key(found.row), "figures": found.figures()}


def document(
    one: Measurement, environment: str, rows: Sequence[Row], outcome: Outcome, path: Path
) -> dict[str, Any]:
    """The results as plain values."""
    from dataclasses import asdict

    return {
        "environment": environment,
        "ok": not outcome.is_stopped and len(outcome.results) == len(rows),
        "engine": one.service.engine,
        "version": one.service.version,
        "model": one.service.model,
        "page": str(path),
        "rows": [outcome.results[row].figures() for row in rows if row in outcome.results],
        "missing": [row.name for row in rows if row not in outcome.results],
        "findings": [
            {"about": about, **asdict(each), "level": each.level.value} for about, each in outcome.found
        ],
    }


def _line(about: str, finding: Finding) -> str:
    """A finding with what it is about."""
    place = f" ({about})" if about else ""
    return f"{finding.level.value} {finding.check}{place}: {finding.line()}"
