"""Text that goes through Terraform: what must be escaped, and what must be left as it is."""

import re
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


class Held:
    """Opaque values, each with a mark that stands for it while a text is made."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def mark(self, value: str) -> str:
        """The mark of a value."""
        name = f"{_OPEN}{len(self._values)}{_CLOSE}"
        self._values[name] = value
        return name

    def fill(self, text: str) -> str:
        """The text with each mark replaced by its value."""
        return re.sub(f"{_OPEN}\\d+{_CLOSE}", lambda found: self._values[found.group()], text)


def hold(bootstrap: Bootstrap) -> tuple[Bootstrap, Held]:
    """The same facts with a mark in the place of each opaque value, and the values."""
    held = Held()
    marked = replace(
        bootstrap,
        region=held.mark(bootstrap.region),
        scripts_bucket=held.mark(bootstrap.scripts_bucket),
        nodes=tuple(replace(node, address=held.mark(node.address)) for node in bootstrap.nodes),
    )
    return marked, held
