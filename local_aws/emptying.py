"""Back to an account with nothing in it."""

from __future__ import annotations

from moto.core.base_backend import BackendDict, BaseBackend, backend_lock
from moto.core.model_instances import reset_model_data

from local_aws.world import reset


def empty() -> None:
    """Forget moto's state and ours.

    moto's own reset makes every backend anew before it throws it away, which takes seconds with many regions;
    they are made when they are next asked for. Those that reset more than themselves still do.
    """
    with backend_lock:
        for backends in BackendDict._instances:
            for _, _, backend in list(backends.iter_backends()):
                if type(backend).reset is not BaseBackend.reset:
                    backend.reset()
            backends.clear()
        BackendDict._instances.clear()
    reset_model_data()
    reset()
