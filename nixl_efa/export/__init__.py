"""The configuration of an environment for other products: AWS ParallelCluster and dstack."""

from nixl_efa.export.engines import Document, Engine, Found, documents
from nixl_efa.export.gather import find

__all__ = ["Document", "Engine", "Found", "documents", "find"]
