"""The table `service`: a model to serve, its engine and its flags."""

from pydantic import BaseModel, ConfigDict

from nixl_efa.service.engines import DEFAULT, ENGINES
from nixl_efa.service.model import FLAGS, Service
from nixl_efa.settings import values
from nixl_efa.settings.source import Source, within


class ServiceTable(BaseModel):
    """A model, its engine, and whether nodes start that when they boot.

    version: of the engine's package; None: the one that was tried. flags: the engine's own, on all nodes;
             producer_flags, consumer_flags: further ones on the nodes of one role.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: values.ModelName
    engine: values.Word = DEFAULT
    version: values.Word | None = None
    flags: values.EngineFlags = ()
    producer_flags: values.EngineFlags = ()
    consumer_flags: values.EngineFlags = ()
    start_at_boot: values.YesNo = False

    @property
    def asked(self) -> Service:
        """What is to be served; of an engine that there is not, without a version."""
        known = ENGINES.get(self.engine)
        return Service(
            self.engine,
            self.model.rstrip("/"),
            self.version or (known.VERSION if known else ""),
            self.flags,
            self.producer_flags,
            self.consumer_flags,
        )


def named(source: Source, member: str) -> str:
    """How messages name a member of the table. source: of the setting `service`."""
    text = f"service.{member} ({within(source, f'.{member}').label})"
    # A flag stands alone behind it, since a value may be a secret.
    return f"{text}:" if member in FLAGS else text
