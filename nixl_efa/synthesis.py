"""The synthesis of one stack by the cdktf (or cdktn) command line, for commands that run Terraform afterwards."""

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from nixl_efa.cdk import command_line
from nixl_efa.checks.gather.machine import cli_path
from nixl_efa.failure import Failure
from nixl_efa.provider_lock import LOCK_FILE
from nixl_efa.settings import Settings
from nixl_efa.settings.names import variable
from nixl_efa.state import SELECTED_WORKSPACE
from nixl_efa.terraform import Capture, capture

STACK_FILE = "cdk.tf.json"
# The cdktf CLI draws a spinner even where there is no terminal.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def synthesize(
    settings: Settings,
    project: Path,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    run: Capture = capture,
    changes: Mapping[str, str] | None = None,
) -> None:
    """Writes the stack to cdktf.out below `project`. Failure when it does not end well.

    The other environments are left out, so that an error in them does not stop this one. The check at synthesis is off,
    because these commands check by themselves. Warnings are printed.

    changes: settings that differ this time, by name, as text.
    """
    cli = command_line(environ)
    program = cli_path(cli, project, environ.get("PATH", ""))
    if not program:
        raise Failure(f"the {cli.name} command line is not installed: run `{cli.install(project)}`")
    profile = {"profile": settings.profile} if settings.profile else {}
    given = {"check": "off", **profile, **(changes or {})}
    chosen = {variable(setting, settings.name): value for setting, value in given.items()}
    try:
        code, out, err = synthesize_alone(
            program,
            settings.stack_name,
            project,
            {**environ, "NIXL_EFA_ENVIRONMENTS": settings.name, **chosen},
            run,
        )
    except OSError as error:
        raise Failure(f"{program} can't be run: {error.strerror}. Run `{cli.install(project)}`") from error
    said = [line.strip() for line in _ESCAPES.sub("", f"{out}\n{err}").splitlines()]
    for line in said:
        if line and (code or line.startswith("WARN")):
            say(line)
    if code:
        raise Failure(f"{cli.name} synth ended with exit code {code}: nothing was planned")


def synthesize_alone(
    program: str, stack_name: str, project: Path, environ: Mapping[str, str], run: Capture
) -> tuple[int, str, str]:
    """Writes the stack's file and its provider's lock to cdktf.out, and nothing else there; exit code, stdout and
    stderr of `cdktf synth`.

    In cdktf.out itself the command line removes the folder of every stack that it does not synthesize: those of the
    other environments, in which Terraform may be at work, and without which they have no status.
    environ: chooses the environment alone.
    """
    stack = Path("stacks") / stack_name
    kept = project / "cdktf.out" / stack
    # Next to cdktf.out, because the folder above it gives the place of local states.
    with tempfile.TemporaryDirectory(prefix="cdktf.out.", dir=project) as folder:
        made = Path(folder) / stack
        # What Terraform remembers of its backend, workspace and provider: the synthesis looks whether they are the
        # settings'.
        for remembered in (Path(".terraform", "terraform.tfstate"), SELECTED_WORKSPACE, Path(LOCK_FILE)):
            if (kept / remembered).exists():
                (made / remembered).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(kept / remembered, made / remembered)
        code, out, err = run((program, "synth", "--output", Path(folder).name), project, environ)
        if code == 0 and (made / STACK_FILE).exists():
            kept.mkdir(parents=True, exist_ok=True)
            for name in (LOCK_FILE, STACK_FILE):
                if (made / name).exists():
                    (made / name).replace(kept / name)
    return code, out, err
