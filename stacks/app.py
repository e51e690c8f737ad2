"""The cdktf app of a run: a stack for every environment that its settings describe."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import constructs_lib  # noqa: F401  (before cdktf is imported: see its docstring)

# isort: split
from cdktf import Annotations, App

from constructs_lib.fast_bindings import skip_type_checks
from nixl_efa.findings import Finding, failures, warnings
from nixl_efa.launch import launch_of, summary
from nixl_efa.settings import Loaded
from stacks.pair_stack import PairStack


class RefusedError(Exception):
    """cdktf's validation refused a stack; nothing was written."""


@dataclass(frozen=True, slots=True)
class Synthesis:
    """An app whose stacks are described and not yet written.

    lines: one for each stack. refused: the stacks that a FAIL of `seen` refuses.
    """

    app: App
    lines: tuple[str, ...]
    refused: tuple[PairStack, ...]

    def write(self) -> None:
        """Write every stack. RefusedError, before anything is written, when one is refused; OSError."""
        try:
            for stack in self.refused:
                # App.synth would validate a stack only after it has written those before it.
                stack.run_all_validations()
        except RuntimeError as error:  # what jsii makes of a JavaScript error
            raise RefusedError(str(error)) from error
        with _node_writes():
            self.app.synth()


@contextmanager
def _node_writes() -> Iterator[None]:
    """Raises Node.js's error about a file that it can't write (its documentation, Common system errors) as OSError."""
    try:
        yield
    except RuntimeError as error:
        if found := re.search(r"\bE[A-Z]{3,}: [^'\n]*", str(error)):
            raise OSError(found.group().strip(" ,")) from error
        raise


def build_app(
    loaded: Loaded,
    *,
    annotate: bool,
    outdir: Path,
    seen: Mapping[str, list[Finding]] | None = None,
) -> Synthesis:
    """Describe every environment's stack.

    annotate: attach the warnings to the stacks; the cdktf CLI then shows them.
    outdir:   the folder to synthesize to. OSError when it can't be created.
    seen:     the findings about the account and the states, by environment; a FAIL refuses the stack.
    """
    # With stack traces, every element in the JSON would hold paths of this machine.
    with _node_writes():
        app = App(outdir=str(outdir), stack_traces=False)
    skip_type_checks()
    lines, refused = [], []
    for position, settings in enumerate(loaded.environments):
        launch = launch_of(settings)
        stack = PairStack(app, settings=settings, launch=launch)
        lines.append(summary(launch))
        of_stack = (seen or {}).get(settings.name, [])
        if failures(of_stack):
            from stacks.account_check import refuse

            refuse(stack, failures(of_stack))
            refused.append(stack)
        if annotate:
            # Warnings that belong to no environment are shown once, on the first stack.
            general = loaded.general if position == 0 else ()
            found = [*general, *loaded.by_environment.get(settings.name, ()), *of_stack]
            for finding in warnings(found):
                Annotations.of(stack).add_warning(finding.line())
    return Synthesis(app, tuple(lines), tuple(refused))
