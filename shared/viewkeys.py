"""One view on its way: the viewer's signed order to spend it, and the cloud's share sealed to the key of that view.

Orders and shares are bound to cluster, grant and view id, so that neither is worth anything for another look.
"""

from typing import Final

from shared.framing import framed
from shared.identity import Identity, verify_signature
from shared.sealing import open_sealed, seal_to

_SPEND_DOMAIN: Final = "spend-view"


def spend_signature(viewer: Identity, cluster_id: str, grant_id: str, view_id: str, ephemeral_public: bytes) -> bytes:
    """Return the viewer's order to spend one view and to seal the share to `ephemeral_public` (X25519)."""
    return viewer.sign(_SPEND_DOMAIN, *_view_parts(cluster_id, grant_id, view_id), ephemeral_public)


def verify_spend(
    viewer_key: bytes, signature: bytes, cluster_id: str, grant_id: str, view_id: str, ephemeral_public: bytes
) -> None:
    """Check an order to spend a view. Raises `BadSignature` if it is not this viewer's for just this view."""
    verify_signature(
        viewer_key, signature, _SPEND_DOMAIN, *_view_parts(cluster_id, grant_id, view_id), ephemeral_public
    )


def seal_share_for_view(
    cloud_share: bytes, ephemeral_public: bytes, *, cluster_id: str, grant_id: str, view_id: str
) -> bytes:
    """Seal the cloud's share to a view's ephemeral key. Raises `RemoteError` for a key that is none."""
    return seal_to(ephemeral_public, cloud_share, context=_view_context(cluster_id, grant_id, view_id))


def open_share(ephemeral_private: bytes, sealed: bytes, *, cluster_id: str, grant_id: str, view_id: str) -> bytes:
    """Return the cloud's share from a view's answer. Raises `BadSeal` if it is of another view or grant."""
    return open_sealed(ephemeral_private, sealed, context=_view_context(cluster_id, grant_id, view_id))


def _view_parts(cluster_id: str, grant_id: str, view_id: str) -> tuple[bytes, ...]:
    return cluster_id.encode(), grant_id.encode(), view_id.encode()


def _view_context(cluster_id: str, grant_id: str, view_id: str) -> bytes:
    return framed("share-for-view", *_view_parts(cluster_id, grant_id, view_id))
