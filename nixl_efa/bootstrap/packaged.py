"""A script of this project as it is on a node."""

import re
from pathlib import Path


def packaged(path: Path, *, serves: bool = False) -> str:
    """A script's text: of its comments the first line alone, since EC2 gives user data 16 KiB. A comment is a line of
    its own that begins with "# ".

    serves: with what stands between "# begin service" and "# end service", for nodes that start an engine at boot.
    """
    text = path.read_text(encoding="utf-8")
    if not serves:
        text = re.sub(r"^# begin service\n.*?^# end service\n", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = text.splitlines(keepends=True)
    return "".join([*lines[:2], *(line for line in lines[2:] if not line.lstrip().startswith("# "))])
