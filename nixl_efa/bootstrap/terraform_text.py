"""Text that goes through Terraform: what must be escaped, and what must be left as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from nixl_efa.bootstrap.model import Bootstrap

# Marks from Unicode's private use area stand for opaque values while the text is made and escaped: no
# escaping rule of JSON, YAML, shell or Terraform touches them.
_OPEN, _CLOSE = "\ue000", "\ue001"


def terraform_escape(text: str) -> str:
    """Text in which Terraform sees no template: "${" becomes "$${" and "%{" becomes "%%{".

    Source: Terraform language documentation, Strings and Templates, "Escape Sequences".
    """
    return text.replace("${", "$${").replace("%{", "%%{")


def plain(text: str) -> str:
    """The text that Terraform makes of an escaped one; templates that are not escaped stay."""
    return re.sub(r"\$\$\{", "${", text).replace("%%{", "%{")


def hold(bootstrap: Bootstrap) -> tuple[Bootstrap, Mapping[str, str]]:
    """The same facts with a mark in the place of each opaque value, and the value of each mark."""
    values: dict[str, str] = {}

    def mark(value: str) -> str:
        name = f"{_OPEN}{len(values)}{_CLOSE}"
        values[name] = value
        return name

    held = replace(
        bootstrap,
        region=mark(bootstrap.region),
        scripts_bucket=mark(bootstrap.scripts_bucket),
        nodes=tuple(replace(node, address=mark(node.address)) for node in bootstrap.nodes),
    )
    return held, values


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with each mark replaced by its value."""
    return re.sub(f"{_OPEN}\\d+{_CLOSE}", lambda found: values[found.group()], text)
