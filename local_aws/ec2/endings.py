"""Why an instance stopped or ended, in EC2's words: pure.

EC2 API reference, StateReason. The words after a code, and StateTransitionReason, are those of answers that were seen:
an API call "User initiated (time GMT)", a shutdown by the operating system "User initiated" alone. The codes for the
end of a Capacity Block and of a place in an interruptible reservation are not published.
"""

from dataclasses import dataclass
from datetime import datetime

from local_aws.world import Cause


@dataclass(frozen=True, slots=True)
class Ending:
    """StateReason's code, the words after it, and the beginning of StateTransitionReason (empty: the code).

    inferred: the row of docs/facts.md, if nobody has seen an instance end with this code.
    """

    code: str
    words: str
    transition: str = ""
    inferred: str = ""

    @property
    def message(self) -> str:
        """StateReason's message."""
        return f"{self.code}: {self.words}"

    def transition_at(self, now: datetime) -> str:
        """StateTransitionReason of a change at `now`."""
        return (self.transition or self.code).format(now=f"{now:%Y-%m-%d %H:%M:%S} GMT")


BY_CALL = Ending("Client.UserInitiatedShutdown", "User initiated shutdown", "User initiated ({now})")
BLOCK_ENDS = Ending(
    "Server.CapacityBlockExpiration", "the Capacity Block is about to end", inferred="block-ending"
)
TAKEN_BACK = Ending(
    "Server.CapacityReservationInterruption",
    "the owner of the Capacity Reservation takes it back",
    inferred="interruption-ending",
)
ASKED_FOR: dict[Cause, Ending] = {
    "shutdown": Ending("Client.InstanceInitiatedShutdown", "Instance initiated shutdown", "User initiated"),
    "spot": Ending("Server.SpotInstanceTermination", "Spot instance termination"),
    "volume-key": Ending("Client.InternalError", "Client error on launch", "Server.InternalError"),
    # Amazon EC2 Auto Scaling user guide and EC2 user guide, "Instance terminates immediately".
    "volume-limit": Ending("Client.VolumeLimitExceeded", "Volume limit exceeded", "Server.InternalError"),
}
