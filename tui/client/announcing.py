"""What of a peer's events is worth a toast, in what words, and what rings the bell. No widget in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tui.common.wording import moment, plain, views
from tui.peer import events

Severity = Literal["information", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Announcement:
    """A toast; `bell` for what needs an answer."""

    text: str
    title: str = ""
    severity: Severity = "information"
    bell: bool = False


def announcement(event: events.Event) -> Announcement | None:
    """Return what to say about an event, None where the screens show it anyway."""
    match event:
        case events.RequestArrived(viewer_name=name, viewer_words=words, views=asked, title=title):
            return Announcement(f"{_told_as(name, words)} asks for {views(asked)}{_of(title)}", "A request", bell=True)
        case events.RequestWithdrawn():
            return Announcement("A request was taken back")
        case events.RequestAnswered(accepted=True, title=title):
            return Announcement(f"Your request{_for(title)} was accepted", "Accepted")
        case events.RequestAnswered(reason=reason, title=title):
            because = f": {plain(reason, 200)}" if reason else ""
            return Announcement(f"Your request{_for(title)} was rejected{because}", "Rejected", "warning")
        case events.ImageReceived(title=title):
            return Announcement(f"{_named(title) or 'A picture'} arrived; it is in Peer images", "Received")
        case events.CopyWaits(viewer_name=name, viewer_words=words, until=until, trouble=trouble):
            why = f". It did not go directly: {plain(trouble, 240)}" if trouble else ""
            waits = f"The picture waits in the cloud for {_told_as(name, words)}, until {moment(until)} at most"
            return Announcement(waits + why)
        case events.CopyFetched(viewer_name=name, viewer_words=words, title=title):
            return Announcement(
                f"{_told_as(name, words)} has {_named(title) or 'the picture'} that waited in the cloud"
            )
        case events.ViewSpentEvent(viewer_name=name, viewer_words=words, left=left, title=title):
            seen = _named(title) or "a picture of yours"
            return Announcement(f"{_told_as(name, words)} looked at {seen}; {views(left)} left")
        case events.Undeliverable(what=what, reason=reason):
            return Announcement(
                f"The {plain(what, 40)} was refused: {plain(reason, 200)}", "Refused", "error", bell=True
            )
        case events.RowSetAside(what=what, reason=reason):
            return Announcement(set_aside(1, f"{what} ({reason})"), "Set aside", "warning")
        case _:
            return _warning(event) or _of_a_look(event)


def _warning(event: events.Event) -> Announcement | None:
    """Return what to say where something is out of the ordinary and its person has to look."""
    match event:
        case events.KeyChanged(account=account, name=name):
            return Announcement(
                f"Account {account} ({plain(name, 48)}) shows another key than before. It may be somebody else: ask"
                " that person in another way. Nothing is sent to it and nothing taken from it.",
                "WARNING: the key changed",
                "error",
                bell=True,
            )
        case events.OtherDevice(newer=True):
            return Announcement(
                "Your account has just signed in on another device, which others reach from now on; this one keeps"
                " working. If that was not you, somebody has your keys: revoke what matters and make a new account.",
                "Another device",
                "warning",
                bell=True,
            )
        case events.OtherDevice():
            return Announcement(
                "Your account is signed in on another device as well. If that is not you, somebody has your keys:"
                " revoke what matters and make a new account.",
                "Another device",
                "warning",
                bell=True,
            )
        case events.DirectoryRestored(text=text):
            return Announcement(plain(text, 600), "The cloud was restored", "warning", bell=True)
        case _:
            return None


def _of_a_look(event: events.Event) -> Announcement | None:
    match event:
        case events.RightsUpdated(revoked=True, title=title, owner_name=name, owner_words=words):
            of = _named(title) or "a picture"
            return Announcement(f"{_known_as(name, words)} revoked your rights on {of}", severity="warning")
        case events.RightsHeard(viewer_name=name, viewer_words=words, revoked=True):
            return Announcement(
                f"The client of {_known_as(name, words)} has heard of the revocation and shows the picture no more"
            )
        case events.LookWaits(title=title):
            return Announcement(
                f"The view of {_named(title) or 'the picture'} is counted, but the cloud went away. The picture opens"
                " as soon as the cloud answers; that costs no other view.",
                "Waiting for the cloud",
                "warning",
            )
        case _:
            return None


def set_aside(count: int, newest: str) -> str:
    """Return what to say of things in the profile that could not be read; `newest` names one of them."""
    if count == 1:
        return f"Something in this profile could not be read and was set aside: {plain(newest, 200)}. The rest works."
    return (
        f"{count} things in this profile could not be read and were set aside, such as {plain(newest, 200)}."
        " The rest works."
    )


def _known_as(name: str, words: str) -> str:
    """Name a person as this device knows them, with the fingerprint that tells them from others of that name."""
    return f"{plain(name, 48) or 'Its owner'} ({plain(words, 80)})" if words else plain(name, 48) or "Its owner"


def _told_as(name: str, words: str) -> str:
    """Name a person as `_known_as` does; one whom this device does not know, as the cloud does, and say so."""
    return _known_as(name, words) if words else f"{plain(name, 48)} (so the cloud says)"


def _named(title: str) -> str:
    return f"“{plain(title, 40)}”" if title else ""


def _of(title: str) -> str:
    return f" of {_named(title)}" if title else ""


def _for(title: str) -> str:
    return f" for {_named(title)}" if title else ""
