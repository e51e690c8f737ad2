"""`-c KEY=VALUE` of the AWS CDK's command line has no effect in cdktf: what to write instead. Pure.

cdktf-cli 0.21 and cdktn-cli 0.24 do not have this option, accept unknown options without an error, and start the app
without their own arguments. So the app reads the command line that started it (nixl_efa.processes).
"""

import shlex
from collections.abc import Collection, Iterator, Sequence

from nixl_efa.findings import Finding
from nixl_efa.settings import names
from nixl_efa.settings.context import OTHER_KEYS, setting_called, value_called
from nixl_efa.settings.model import STACK_PREFIX
from nixl_efa.settings.source import warning

_SHORT, _LONG = "-c", "--context"


def without_effect(
    program: str, arguments: Sequence[str], known: Collection[str], chosen: Collection[str]
) -> Finding | None:
    """The warning that such options have no effect; None when the arguments have none.

    program: its name as a user types it. known, chosen: the names of all environments, and of those of this run.
    """
    options, others = _divided(arguments)
    if not options:
        return None
    named = {word.removeprefix(STACK_PREFIX) for word in others} & {*known} or {*chosen}
    environment = named.pop() if len(named) == 1 else ""
    variables: list[str] = []
    became: dict[str, list[str]] = {}
    for option in options:
        key, _, value = option.partition("=")
        if setting := setting_called(key):
            text = value_called(key, value)
            variables.append(f"{names.variable(setting, environment)}={shlex.quote(text)}")
        else:
            became.setdefault(OTHER_KEYS.get(key, "there is no such setting"), []).append(key)
    written = " ".join(f"{_SHORT} {option}" for option in options)
    command = " ".join([*variables, program, *map(shlex.quote, others)])
    instead = f"Write `{command}`, or the settings into environments/{environment or 'NAME'}.toml."
    return warning(
        "context",
        f"{written} HAS NO EFFECT: {program} hands no context to the app.",
        " ".join(
            [
                *([instead] if variables else []),
                *(f"{', '.join(keys)}: {what}." for what, keys in became.items()),
                "See docs/from-cdk.md.",
            ]
        ),
    )


def _divided(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The options' values (KEY=VALUE), and the other arguments. The forms that yargs and the AWS CDK accept: -c K=V,
    -cK=V, -c=K=V, --context K=V, --context=K=V."""
    options: list[str] = []
    others: list[str] = []
    remaining: Iterator[str] = iter(arguments)
    for word in remaining:
        if word in (_SHORT, _LONG):
            options += [value] if (value := next(remaining, "")) else []
        elif word.startswith(f"{_LONG}="):
            options.append(word.removeprefix(f"{_LONG}="))
        elif word.startswith(_SHORT):
            options.append(word.removeprefix(_SHORT).removeprefix("="))
        else:
            others.append(word)
    return options, others
