"""How an owner is told of rights on their images and of what became of a change. No widget in here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tui.common.wording import counted, lasting, plain, views

if TYPE_CHECKING:
    from tui.peer.models import RightsResult, Sent, Viewer

NAME_CELLS: Final = 32
_WAITS: Final = "The cloud is away: {what} waits in the outbox and goes out by itself."


def person(name: str, account: int) -> str:
    """Return a name with its account, which nobody else has."""
    return f"{plain(name, NAME_CELLS)} #{account}"


def state(viewer: Viewer, now: float, share: float | None = None) -> str:
    """Return how somebody's rights stand in one or two words; `share` of the stego image is on its way to them."""
    if viewer.revoked:
        return "revoked"
    if viewer.frozen:
        return "to confirm"
    if share is not None:
        return f"sending {share:.0%}"
    if viewer.expires is not None and viewer.expires <= now:
        return "expired"
    if viewer.held_until is not None and viewer.held_until > now:
        return "in the cloud"
    return "used up" if viewer.left == 0 else ""


def left(viewer: Viewer) -> str:
    """Return the views left of those that were granted."""
    return f"{0 if viewer.revoked else viewer.left} of {viewer.granted}"


def is_over(rights: Viewer | None, now: float) -> bool:
    """Whether rights are past their expiry at `now`, in seconds since 1970."""
    return rights is not None and rights.expires is not None and rights.expires <= now


def need_date(rights: Viewer | None, expires: float | None, now: float) -> None:
    """Raise `ValueError` where views would be added to rights that are over, and no new date is given with them.

    Views alone leave the expiry as it stands, so nobody could use them.
    """
    if expires is None and is_over(rights, now):
        raise ValueError("These rights have expired: choose a new expiry, or the views cannot be used.")


def standing(viewers: list[Viewer], account: int) -> Viewer | None:
    """Return somebody's rights that are not revoked, if there are any."""
    return next((viewer for viewer in viewers if viewer.account == account and not viewer.revoked), None)


def describe_change(before: Viewer, result: RightsResult) -> str:
    """Return what came of a change of views or expiry."""
    who = person(before.name, before.account)
    if not result.delivered or result.left is None:
        return _WAITS.format(what="the change")
    told = f"{who} has {views(result.left)} left now"
    spent = (result.met_consumed or 0) - before.consumed
    if spent > 0:
        return f"{told}; {views(spent)} {'was' if spent == 1 else 'were'} spent before the change took effect."
    return f"{told}; {views(result.met_consumed) if result.met_consumed else 'none'} spent so far."


def describe_revoke(before: Viewer, result: RightsResult) -> str:
    """Return what came of a revocation."""
    who = person(before.name, before.account)
    if not result.delivered:
        return _WAITS.format(what="the revocation") + f" Until then {who} may still look."
    return (
        f"{who} can begin no look any more; {counted(result.met_consumed or 0, 'view')} had been spent. A picture that"
        " is open there closes as soon as their client hears of it."
    )


def describe_grant(name: str, account: int, number: int, sent: Sent) -> str:
    """Return what came of a grant."""
    who = person(name, account)
    if not sent.delivered:
        return _WAITS.format(what="the grant")
    return f"{who} was given {views(number)}; the image goes out when both of you are online."


def keeps_look(viewer: Viewer) -> str:
    """Return what adding views without a limit does to the one that stands, as a sentence after a blank, or nothing."""
    return "" if viewer.look_s is None else f" Each look stays at {lasting(viewer.look_s)} while this says no limit."
