#!/bin/bash
# Prints NIXL's version and whether a backend's plugin loads. Usage: nixl-probe BACKEND [ROOT]
# Exit: 0 it loads, 1 it does not.
exec "${2:-}/opt/nixl-efa/venv/bin/python" - "$1" <<'PYTHON'
import contextlib
import sys
from importlib.metadata import version

backend = sys.argv[1]
with contextlib.suppress(ImportError):
    import torch  # brings the CUDA libraries that NIXL's plugins link against
memory = []
try:
    from nixl._api import nixl_agent, nixl_agent_config

    memory = nixl_agent("probe", nixl_agent_config(backends=[])).get_plugin_mem_types(backend)
    print(f"nixl {version('nixl')} {backend} {'loaded' if memory else 'missing'}")
except Exception as error:
    print(f"nixl {backend} failed: {error}")
sys.exit(0 if memory else 1)
PYTHON
