"""cdktf's context and the settings in it: those at its top level are for every environment, those under a name for that
environment."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nixl_efa.findings import Finding
from nixl_efa.settings import names
from nixl_efa.settings.model import SETTING_NAMES, STACK_PREFIX, Settings
from nixl_efa.settings.source import Given, Layer, Source, fault, shown, warning

VARIABLE = "CDKTF_CONTEXT_JSON"
# The AWS CDK design's name for the producer's port (docs/from-cdk.md), the second of service_ports.
VLLM_PORT = "vllmPort"

_A_FILE = f"an environment is a file environments/NAME.toml, and its stack is called {STACK_PREFIX}NAME"
_NO_MLFLOW = "no MLflow server is made here: mlflow_tracking_server_arn names one that there is"
# The keys of the AWS CDK design that are not settings (see docs/from-cdk.md), and what replaces them.
OTHER_KEYS: dict[str, str] = {
    **dict.fromkeys(("environment", "branch", "gitHash", "nixl-efaStackName", "mlflowStackName"), _A_FILE),
    "createVpc": "no VPC is made here: vpc_id names one, without it the default VPC is taken",
    **dict.fromkeys(
        ("skipMlflow", "trackingServerSize", "trackingServerName", "bucketName", "allowedCidrs"), _NO_MLFLOW
    ),
}

_SPELLINGS: dict[str, str] = {
    spelling: setting for setting in SETTING_NAMES for spelling in (setting, names.camel_case(setting))
} | {VLLM_PORT: "service_ports"}


def app_context(environ: Mapping[str, str], cdktf_json: Path) -> Mapping[str, object]:
    """The context in CDKTF_CONTEXT_JSON (set by the cdktf CLI), else that of cdktf.json; empty without either.

    Raises ValueError, with a message for the user, when it is not a JSON object.
    """
    text, source = environ.get(VARIABLE), f"The variable {VARIABLE}"
    try:
        if text:
            context = json.loads(text)
        elif cdktf_json.is_file():
            source = f"{cdktf_json.name} (its key context)"
            context = json.loads(cdktf_json.read_text(encoding="utf-8")).get("context", {})
        else:
            context = {}
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(f"{source} can't be read: {error}.") from error
    if not isinstance(context, dict):
        raise ValueError(f'{source} must be a JSON object, such as {{"prod": {{"volumeSize": 1000}}}}.')
    return context


@dataclass(slots=True)
class Context:
    """of_all: settings from the top level. of_environment: settings by the environment's name."""

    of_all: dict[str, Given] = field(default_factory=dict)
    of_environment: dict[str, dict[str, Given]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    findings_of_environment: dict[str, list[Finding]] = field(default_factory=dict)


def read_context(context: Mapping[str, object], known: Iterable[str], chosen: Iterable[str]) -> Context:
    """The settings in the context.

    The top level also has keys of cdktf and of other tools. A key that is not a setting is ignored, with a warning when
    it looks like a typing error or is a key of the AWS CDK design. Under an environment's name every key must be a
    setting.
    """
    known, chosen = tuple(known), tuple(chosen)
    result = Context()
    own: dict[str, object] = {}
    for key, value in context.items():
        if key in known:
            if key in chosen:
                result.of_environment[key], result.findings_of_environment[key] = _of_environment(key, value)
        elif key in _SPELLINGS:
            own[key] = value
        elif key in OTHER_KEYS:
            message = f"{key} is not a setting (cdktf context: {key}); it is ignored."
            result.findings.append(warning(key, message, f"From the AWS CDK: {OTHER_KEYS[key]}."))
        elif near := names.nearest(key, (*_SPELLINGS, *known), least=names.SLIP):
            message = f"{key} is neither a setting nor an environment (cdktf context: {key}); it is ignored."
            result.findings.append(warning(key, message, f"Did you mean {near}?"))
    result.of_all, findings = _settings(own, Layer.CONTEXT_OF_ALL, "")
    result.findings += findings
    return result


def _of_environment(name: str, value: object) -> tuple[dict[str, Given], list[Finding]]:
    if not isinstance(value, Mapping):
        message = f"{name} = {shown(value)} (cdktf context: {name}) must be an object of settings."
        return {}, [fault("context", message)]
    unknown = [
        fault(
            key,
            f"{key} is not a setting (cdktf context: {name}.{key}).",
            names.did_you_mean(key, SETTING_NAMES),
        )
        for key in value
        if key not in _SPELLINGS
    ]
    own = {key: item for key, item in value.items() if key in _SPELLINGS}
    settings, findings = _settings(own, Layer.CONTEXT_OF_ENVIRONMENT, f"{name}.")
    return settings, unknown + findings


def _settings(own: Mapping[str, object], layer: Layer, path: str) -> tuple[dict[str, Given], list[Finding]]:
    settings: dict[str, Given] = {}
    findings: list[Finding] = []
    for key, value in own.items():
        setting = _SPELLINGS[key]
        source = Source(layer, f"cdktf context: {path}{key}")
        if setting in settings:
            both = f"{settings[setting].source.label} and {path}{key}"
            findings.append(fault(setting, f"{setting} is given twice ({both}).", "Keep one of them."))
            continue
        given = _with_other_ports(value) if key == VLLM_PORT else value
        settings[setting] = Given(given, source, is_text=True)
    return settings, findings


def setting_called(key: str) -> str:
    """The setting that has this key in the context; empty for none."""
    return _SPELLINGS.get(key, "")


def value_called(key: str, text: str) -> str:
    """The text that the setting's variable must have for the key's value."""
    return ",".join(map(str, _with_other_ports(text))) if key == VLLM_PORT else text


def _with_other_ports(port: object) -> list[object]:
    """The port, with the other ports of the default, which the AWS CDK design always opens."""
    proxy, _, consumer = Settings.model_fields["service_ports"].default
    return [one for one in (proxy, port, consumer) if one is port or str(one) != str(port).strip()]
