"""How a peer follows its cluster: nodes hand it a newer cluster file, it checks who signed it and goes on by that.

The profile keeps a copy of the newest file that the peer has met, so that a client which was away while all addresses
changed but one still finds the others, whatever file it is started with.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shared.cluster import (
    Cluster,
    is_operators,
    load_cluster,
    newer_cluster,
    parse_cluster,
    read_cluster_file,
    replace_cluster_file,
)
from shared.cluster_parts import ClusterParts
from shared.config import MAX_MESSAGE_BYTES
from shared.errors import BadSignature, InvalidInput, ProfileError, RemoteError
from shared.net.endpoint import Endpoint, Session
from shared.wire.codec import encode
from shared.wire.peer_messages import ClusterPart
from tui.peer.cloud import CloudLink

log = logging.getLogger(__name__)

COPY: Final = "cluster.toml"
"""Name of the profile's copy of the cluster file."""


def newest_cluster(given: Path | Cluster, copy: Path) -> Cluster:
    """Return the newest cluster that is known here: of the file that was given, or the profile's copy of it.

    A newer file that was given takes the copy's place. Raises `InvalidInput` as `load_cluster` does, `ProfileError` for
    a file of the same cluster that is not of the operator whom this profile follows.
    """
    data = b"" if isinstance(given, Cluster) else read_cluster_file(given)
    known = given if isinstance(given, Cluster) else parse_cluster(data, given)
    if not known.is_signed:
        return known
    try:
        kept = load_cluster(copy)
    except InvalidInput:
        kept = None  # there is none yet, or it is damaged: the file that was given is whole
    if kept is not None and kept.cluster_id == known.cluster_id:
        older, newer = (known, kept) if kept.version > known.version else (kept, known)
        try:
            is_one_operators = is_operators(older, newer)
        except BadSignature:
            is_one_operators = False
        if not is_one_operators:
            raise ProfileError(
                "The cluster file is not signed by the operator whom this profile follows. If the operator says that it"
                f" is right, remove {copy}."
            )
        if newer is kept:
            return kept
    if data and (kept is None or kept.cluster_id == known.cluster_id):
        keep_copy(copy, data, known.version)
    return known


def keep_copy(path: Path, data: bytes, version: int) -> None:
    """Write the profile's copy of a cluster file. Where that fails, the log says so, and the next start knows less."""
    try:
        replace_cluster_file(path, data, version)
    except OSError as error:
        log.warning("the cluster file is not kept in the profile", extra={"reason": error.strerror})


class ClusterFollower:
    """Asks nodes for a newer cluster file when a session begins, and whenever one tells of it."""

    def __init__(
        self,
        known: Cluster,
        endpoint: Endpoint,
        cloud: CloudLink,
        *,
        keep: Callable[[bytes, int], object] = lambda _data, _version: None,
    ) -> None:
        """`keep` is given the bytes and the version of each file that is followed."""
        self.known = known
        self._endpoint = endpoint
        self._cloud = cloud
        self._keep = keep
        self._gathered: dict[Session, ClusterParts] = {}
        self._distrusted: set[bytes] = set()
        """Keys of nodes that sent a file which nobody may follow: they are asked no more."""
        cloud.on_opened = self.look
        cloud.on_cluster = self.told
        cloud.on_part = self.take

    def look(self, session: Session) -> None:
        """Ask a node for what is missing of a newer file, in case it has one."""
        if not self.known.is_signed or not session.alive or session.remote_key in self._distrusted:
            return
        for over in [one for one in self._gathered if not one.alive]:
            del self._gathered[over]
        parts = self._gathered.setdefault(session, ClusterParts(self.known.version))
        self._endpoint.post(session, encode(parts.query(), cap_bytes=MAX_MESSAGE_BYTES))

    def told(self, session: Session, version: int) -> None:
        """A node tells of the newest version that it knows."""
        if version > self.known.version:
            self.look(session)

    def take(self, session: Session, part: ClusterPart) -> None:
        """Take a part of a newer file; follow that once it is whole. Raises `RemoteError` for what must not be."""
        parts = self._gathered.get(session)
        if parts is None or part.version <= self.known.version:
            return
        data = parts.take(part)
        if data is None:
            self.look(session)
            return
        self._gathered.clear()
        try:
            self.known = newer_cluster(self.known, data)
        except RemoteError:
            self._distrusted.add(session.remote_key)
            raise
        log.info("a newer cluster file", extra={"version": self.known.version})
        self._keep(data, self.known.version)
        self._cloud.follow(self.known)
