"""A rehearsal: the main job from the purchase to the end, with the real tools, on the local AWS."""

from nixl_efa.rehearse.run import Options, rehearse

__all__ = ["Options", "rehearse"]
