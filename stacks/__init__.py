"""One Terraform stack for each environment."""

import constructs_lib  # noqa: F401  (before cdktf is imported: see its docstring)
