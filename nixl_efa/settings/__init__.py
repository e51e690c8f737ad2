"""What a user may set about an environment, where it may be set, and which source wins.

`load` reads everything and raises nothing: it returns faults as findings.
"""

from nixl_efa.settings.backend import Backend, CloudBackend, LocalBackend, S3Backend
from nixl_efa.settings.context import app_context
from nixl_efa.settings.credentials import AssumeRole
from nixl_efa.settings.files import environment_names
from nixl_efa.settings.loading import Loaded, load
from nixl_efa.settings.model import SETTING_NAMES, Settings, source_of

__all__ = [
    "SETTING_NAMES",
    "AssumeRole",
    "Backend",
    "CloudBackend",
    "Loaded",
    "LocalBackend",
    "S3Backend",
    "Settings",
    "app_context",
    "environment_names",
    "load",
    "source_of",
]
