"""What the parts of a peer share."""

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from shared.cluster import Cluster
from shared.config import Timing
from shared.errors import ProfileError
from shared.identity import Identity
from shared.net.endpoint import Endpoint
from shared.net.partial_store import MemoryPartials, PartialStore
from tui.peer.cloud import CloudLink
from tui.peer.events import Event, EventHub
from tui.peer.profile import Profile
from tui.peer.store import Store

ID_BYTES = 16


@dataclass(slots=True)
class Context:
    """One open peer: its keys, store, sockets and listeners.

    `wall` gives seconds since 1970; `clock` gives seconds and never goes back.
    """

    profile: Profile
    identity: Identity
    cluster: Cluster
    store: Store
    endpoint: Endpoint
    cloud: CloudLink
    tasks: TaskGroup
    events: EventHub
    entropy: Callable[[int], bytes]
    clock: Callable[[], float]
    wall: Callable[[], float]
    partials: PartialStore = field(default_factory=MemoryPartials)
    """Objects of which a part has come."""
    holds_copies: bool = True
    """Whether the cloud may hold copies for viewers who cannot be reached."""
    share_local_addresses: bool = True
    """Whether others are told the addresses of this machine's own interfaces, besides the one that nodes see."""
    relay_only: bool = False
    """Whether others are told no address, and reach this peer through nodes alone."""
    account: int | None = None
    name: str = ""
    device: str = ""
    signed_in: bool = False
    catching_up: bool | None = None
    """Whether this device is new and is told of what was before it; None before that is known."""
    files: anyio.Lock = field(default_factory=anyio.Lock)
    """Held while a stego image is read or its rights are rewritten in place: a half-written strip looks damaged."""

    frozen: set[str] = field(default_factory=set)
    """Grants held that wait for their owner after a restore of the directory, as the cloud told last."""
    thawed: dict[str, float] = field(default_factory=dict)
    """When it was last heard of a grant that it does not wait, by `clock`."""

    def now(self) -> float:
        """Return seconds since 1970 by the directory's clock as far as the cloud told it, else by this machine's."""
        directory_time = self.cloud.directory_time()
        return self.wall() if directory_time is None else directory_time

    def note_frozen(self, grant: str, *, frozen: bool, asked: float | None = None) -> bool:
        """Note whether a grant that is held waits for its owner; return whether that is new.

        `asked` is when the cloud was asked, by `clock`: mail may have told of the owner's word since, and been read
        before the answer.
        """
        if not frozen:
            self.thawed[grant] = self.clock()
        elif asked is not None and asked < self.thawed.get(grant, asked):
            return False
        if frozen == (grant in self.frozen):
            return False
        (self.frozen.add if frozen else self.frozen.discard)(grant)
        return True

    def news(self, event: Event) -> None:
        """Tell of what mail or the cloud's lists say; to a device that catches up it is history, and told to nobody."""
        if not self.catching_up:
            self.events.emit(event)

    @property
    def timing(self) -> Timing:
        """The timers of the cluster."""
        return self.cluster.timing

    def new_id(self) -> str:
        """Return a fresh 128-bit id."""
        return self.entropy(ID_BYTES).hex()

    def need_account(self) -> int:
        """Return this profile's account. Raises `ProfileError` before registration."""
        if self.account is None:
            raise ProfileError("This profile has no account yet; register first.")
        return self.account
