"""The command line `nixl-efa`: data on stdout, talk on stderr, exit code 2 for bad input, 1 for a failure."""

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from contextvars import copy_context

from nixl_efa.failure import Failure

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code; every failure is one line on stderr."""
    # In a context of its own: the next run in this process must not see this run's options.
    code = copy_context().run(_run, arguments)
    if code == _INTERRUPTED and arguments is None and threading.active_count() > 1:
        # Python would wait for the threads' answers, which may take a minute and which nobody reads any more.
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)
    return code


def _run(arguments: Sequence[str] | None) -> int:
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # its caller has closed it
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    try:
        # Ctrl-C comes at any moment, also while these load.
        from nixl_efa.cli import commands
        from nixl_efa.cli.app import command

        if arguments is None:
            commands.remember(program=commands.called_as(sys.argv, os.environ))
        command().main(
            args=None if arguments is None else list(arguments),
            prog_name="nixl-efa",
            standalone_mode=True,
        )
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Failure as failure:
        return _stop(failure.message, failure.exit_code)
    except Exception as error:
        if os.environ.get("NIXL_EFA_TRACEBACK"):
            raise
        return _stop(_message(error), 1)
    return 0


def _message(error: Exception) -> str:
    from nixl_efa.aws_errors import explain
    from nixl_efa.cli.app import missing_extra

    return missing_extra(error) or explain(error)


def _stop(message: str, exit_code: int) -> int:
    from nixl_efa.cli.output import say

    say(f"nixl-efa: {message}")
    return exit_code
