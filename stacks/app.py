"""The cdktf app of a run: a stack for every environment that its settings describe."""

from __future__ import annotations

from collections.abc import Mapping

from cdktf import Annotations, App

from constructs_lib.fast_bindings import skip_type_checks
from nixl_efa.findings import Finding, warnings
from nixl_efa.plan import plan_pair, summary
from nixl_efa.settings import Loaded
from stacks.pair_stack import PairStack


def build_app(loaded: Loaded, *, annotate: bool, outdir: str | None = None) -> tuple[App, list[str]]:
    """The app, not yet synthesized, and one line for each of its stacks.

    annotate: attach the warnings to the stacks, where the cdktf CLI shows them.
    outdir:   where to synthesize to; None: the folder that the CLI names, else cdktf.out.
    """
    # Stack traces would put paths of this machine beside every element.
    app = App(outdir=outdir, stack_traces=False)
    skip_type_checks()
    lines = []
    for position, settings in enumerate(loaded.environments):
        plan = plan_pair(settings)
        stack = PairStack(app, settings=settings, plan=plan)
        lines.append(summary(settings, plan))
        if annotate:
            # What belongs to no environment is said once, on the first stack.
            general = loaded.general if position == 0 else ()
            _annotate(stack, warnings([*general, *loaded.by_environment.get(settings.name, ())]))
    return app, lines


def under_cdktf_cli(environ: Mapping[str, str]) -> bool:
    """Whether the cdktf CLI runs the app: it sets this variable for each app that it starts (cli-core, synth-stack)."""
    return "CDKTF_CONTINUE_SYNTH_ON_ERROR_ANNOTATIONS" in environ


def _annotate(stack: PairStack, found: list[Finding]) -> None:
    for finding in found:
        Annotations.of(stack).add_warning(finding.line())
