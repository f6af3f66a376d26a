"""Which events are worth a toast, and that no remote text in one can do harm."""

from dataclasses import replace

import pytest

from shared.net.path_probe import narrow_path
from tui.client.announcing import announcement
from tui.peer import events

IMAGE, GRANT, REQUEST = "a" * 32, "b" * 32, "c" * 32
HOSTILE = "\x1b[31mred\x1b[0m \u202eevil [@click=app.quit]quit[/] " + "x" * 10_000


def test_a_request_rings_the_bell():
    said = announcement(events.RequestArrived(REQUEST, IMAGE, "Ben", 1, viewer_words="cedar delta"))
    assert said is not None
    assert said.text == "Ben (cedar delta) asks for 1 view"
    assert said.bell
    said = announcement(events.RequestArrived(REQUEST, IMAGE, "Ben", 2, "Lake"))
    assert said is not None
    assert said.text == "Ben (so the cloud says) asks for 2 views of “Lake”"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (events.RequestAnswered(REQUEST, IMAGE, True, title="Lake"), "Your request for “Lake” was accepted"),
        (events.RequestAnswered(REQUEST, IMAGE, False, title="Lake"), "Your request for “Lake” was rejected"),
        (events.ImageReceived(IMAGE, GRANT, "Lake"), "“Lake” arrived; it is in Peer images"),
        (events.ImageReceived(IMAGE, GRANT), "A picture arrived; it is in Peer images"),
        (
            events.ViewSpentEvent(IMAGE, "Ben", 0.0, 2, "Lake"),
            "Ben (so the cloud says) looked at “Lake”; 2 views left",
        ),
        (
            events.ViewSpentEvent(IMAGE, "Ben", 0.0, 2, "Lake", "cedar delta"),
            "Ben (cedar delta) looked at “Lake”; 2 views left",
        ),
        (
            events.RightsUpdated(IMAGE, GRANT, 0, True, "Lake", owner_name="Ada", owner_words="amber basil"),
            "Ada (amber basil) revoked your rights on “Lake”",
        ),
        (
            events.RightsUpdated(IMAGE, GRANT, 0, True, owner_words="amber basil"),
            "Its owner (amber basil) revoked your rights on a picture",
        ),
        (events.DirectoryRestored("The cloud was restored."), "The cloud was restored."),
        (
            events.RightsHeard(IMAGE, GRANT, "Ben", 0, True, "cedar delta"),
            "The client of Ben (cedar delta) has heard of the revocation and shows the picture no more",
        ),
        (
            events.CopyFetched(IMAGE, GRANT, "Ben", "cedar delta", "Lake"),
            "Ben (cedar delta) has “Lake” that waited in the cloud",
        ),
        (
            events.LookWaits(IMAGE, GRANT, "Lake"),
            "The view of “Lake” is counted, but the cloud went away. The picture opens as soon as the cloud answers;"
            " that costs no other view.",
        ),
    ],
)
def test_a_toast_names_the_picture(event, text):
    said = announcement(event)
    assert said is not None
    assert said.text == text


def test_a_copy_that_waits_says_what_keeps_it_from_going_directly():
    """A path that lets through small datagrams only was told between clients and nodes, and not between clients."""
    known = events.CopyWaits(IMAGE, GRANT, "Ben", 0.0, "cedar delta")
    said = announcement(known)
    assert said is not None
    assert said.text.startswith("The picture waits in the cloud for Ben (cedar delta), until ")
    assert said.text.endswith("at most")
    trouble = narrow_path(("198.51.100.23", 47_600))
    said = announcement(replace(known, trouble=trouble))
    assert said is not None
    assert said.text.endswith(f"It did not go directly: {trouble}")


def test_an_answer_says_which_and_why():
    said = announcement(events.RequestAnswered(REQUEST, IMAGE, accepted=False, reason="not this one"))
    assert said is not None
    assert (said.text, said.severity, said.bell) == ("Your request was rejected: not this one", "warning", False)
    said = announcement(events.RequestAnswered(REQUEST, IMAGE, accepted=True))
    assert said is not None
    assert "accepted" in said.text


@pytest.mark.parametrize("newer", [True, False])
def test_another_device_of_the_account_is_told_with_what_to_do(newer):
    """Whoever signed in with a copied identity was noticed by nobody."""
    said = announcement(events.OtherDevice(newer))
    assert said is not None
    assert (said.title, said.severity, said.bell) == ("Another device", "warning", True)
    assert "If that" in said.text
    assert "revoke" in said.text
    assert ("others reach" in said.text) == newer


def test_a_changed_key_is_said_loudly():
    said = announcement(events.KeyChanged(9, "Ben"))
    assert said is not None
    assert (said.severity, said.bell) == ("error", True)
    assert "Account 9" in said.text


@pytest.mark.parametrize(
    "event",
    [
        events.CloudChanged(True, "n1", 3),
        events.CopyProgress(GRANT, True, 1, 2),
        events.Delivered(REQUEST, "request"),
        events.PictureAdopted(IMAGE),
        events.ImageWithdrawn(IMAGE),
        events.RightsUpdated(IMAGE, GRANT, 3, revoked=False),
        events.RightsHeard(IMAGE, GRANT, "Ben", 3, False),
    ],
)
def test_what_the_screens_show_anyway_is_no_toast(event):
    assert announcement(event) is None


@pytest.mark.parametrize(
    "event",
    [
        events.RequestArrived(REQUEST, IMAGE, HOSTILE, 3, HOSTILE),
        events.RequestAnswered(REQUEST, IMAGE, accepted=True, title=HOSTILE),
        events.ImageReceived(IMAGE, GRANT, HOSTILE),
        events.RightsUpdated(IMAGE, GRANT, 0, True, HOSTILE, owner_name=HOSTILE, owner_words=HOSTILE),
        events.RequestAnswered(REQUEST, IMAGE, accepted=False, reason=HOSTILE),
        events.RequestArrived(REQUEST, IMAGE, HOSTILE, 3, HOSTILE, HOSTILE),
        events.ViewSpentEvent(IMAGE, HOSTILE, 0.0, 1),
        events.ViewSpentEvent(IMAGE, HOSTILE, 0.0, 1, HOSTILE, HOSTILE),
        events.CopyWaits(IMAGE, GRANT, HOSTILE, 0.0, HOSTILE),
        events.CopyFetched(IMAGE, GRANT, HOSTILE, title=HOSTILE),
        events.Undeliverable(REQUEST, HOSTILE, HOSTILE),
        events.KeyChanged(9, HOSTILE),
        events.RightsHeard(IMAGE, GRANT, HOSTILE, 0, True, HOSTILE),
        events.LookWaits(IMAGE, GRANT, HOSTILE),
        events.RowSetAside(HOSTILE, HOSTILE),
    ],
)
def test_remote_texts_are_cleaned_and_cut(event):
    said = announcement(event)
    assert said is not None
    assert "\x1b" not in said.text
    assert "\u202e" not in said.text
    assert len(said.text) < 400
