"""What the methods of a peer take: everything else is refused before anything is stored or sent."""

import math
from datetime import UTC, datetime
from itertools import chain

import msgspec
import pytest

from shared.errors import InvalidInput, MalformedMessage
from shared.records import decode_record
from shared.wire import operations as ops
from shared.wire.codec import decode, encode
from tests.unit.profiles_made import (
    ASK,
    GIVEN,
    HELD_IMAGE,
    ME,
    MY_IMAGE,
    NOWHERE,
    OTHER,
    grant_record,
    make_profile,
)
from tui.peer import Peer
from tui.peer import outbox as outbox_module
from tui.peer.checks import checked_expiry
from tui.peer.cloud import _NodeSession

pytestmark = pytest.mark.anyio
NOW = 1_800_000_000.0
LATER = NOW + 3600
ODD = [
    "Ada",
    "1",
    b"1",
    True,
    False,
    2.5,
    1.0,
    None,
    math.nan,
    math.inf,
    -1,
    10**30,
    datetime(2030, 1, 1, tzinfo=UTC),
    [],
    {},
]
NO_ID = [None, 7, b"a" * 32, "", "a" * 31, "A" * 32, "g" * 32, "../" * 10 + "aa", True]
NO_MOMENT = [
    math.nan,
    math.inf,
    -math.inf,
    NOW - 1,
    NOW,
    0,
    -5.0,
    1e12,
    10**400,
    "tomorrow",
    True,
    b"",
    [],
    datetime(2030, 1, 1, tzinfo=UTC),
]
NO_TEXT = [7, None, b"text", True, ["x"]]


def _odd_numbers():
    for value in ODD:
        if value is not None:
            yield "set_views", (MY_IMAGE, 2, value), {}
        yield "grant", (MY_IMAGE, value, 1), {}
        yield "grant", (MY_IMAGE, 2, value), {}
        yield "set_views", (MY_IMAGE, value, 1), {}
        yield "revoke", (MY_IMAGE, value), {}
        yield "request", (HELD_IMAGE, value), {}
        yield "request_more", (HELD_IMAGE, value), {}
        yield "images_of", (value,), {}
        if value is not None:
            yield "accept", (ASK,), {"views": value}
        if value not in (0, True, False) and value != []:
            yield "users", ("",), {"page": value}


def _odd_ids_and_moments():
    for value in NO_ID:
        for name, more in (
            ("grant", (2, 1)),
            ("set_views", (2, 1)),
            ("revoke", (2,)),
            ("request", (1,)),
            ("request_more", (1,)),
            ("cancel", ()),
            ("accept", ()),
            ("reject", ()),
            ("view", ()),
            ("cover", ()),
            ("preview", ()),
            ("viewers", ()),
            ("views_log", ()),
            ("withdraw", ()),
            ("set_preview", (None,)),
            ("look_ended", (1.0,)),
        ):
            yield name, (value, *more), {}
    for value in NO_MOMENT:
        yield "grant", (MY_IMAGE, 2, 1), {"expires": value}
        yield "set_views", (MY_IMAGE, 2, 1), {"expires": value}
        yield "accept", (ASK,), {"expires": value}


def _odd_texts():
    for value in NO_TEXT:
        yield "request", (HELD_IMAGE, 1), {"note": value}
        yield "reject", (ASK, value), {}
        yield "users", (value,), {}
        yield "register", (value,), {}
        yield "encrypt", (value if value is not None else 3,), {}
        if value is not None:
            yield "encrypt", ("picture.jpg",), {"title": value}
        yield "set_preview", (MY_IMAGE, value if not isinstance(value, bytes) and value is not None else 3), {}


def _odd_lengths_and_flags():
    for value in ("5", True, 0, 0.5, 86_401, math.nan, math.inf, -1):
        yield "grant", (MY_IMAGE, 2, 1), {"look_s": value}
        yield "set_views", (MY_IMAGE, 2, 1), {"look_s": value}
        yield "accept", (ASK,), {"look_s": value}
    for value in ("5", True, None, -1, math.nan, math.inf, 10**30):
        yield "look_ended", (ASK, value), {}
    for value in (0, 1, "yes", None):
        yield "set_views", (MY_IMAGE, 2, 1), {"no_expiry": value}
        yield "my_images", (), {"local": value}
        yield "requests", (), {"local": value}
    yield "encrypt", ("a\0b",), {}
    yield "encrypt", ("picture.jpg",), {"cover": 5}
    yield "encrypt", ("picture.jpg",), {"progress": 5}
    yield "encrypt", ("~nobody-of-this-name/picture.jpg",), {}


async def test_everything_else_is_refused_before_it_is_stored(tmp_path, monkeypatch):
    """`grant(image, "Ada", 1)` was stored and could not be decoded: the profile could never be used again. An expiry of
    NaN became no expiry at all."""
    monkeypatch.setattr(outbox_module, "FIRST_TRY_S", 0.0)
    make_profile(tmp_path / "profile")
    async with Peer(tmp_path / "profile", NOWHERE, wall=lambda: NOW) as peer:
        before = await peer.outbox()
        calls = chain(_odd_numbers(), _odd_ids_and_moments(), _odd_texts(), _odd_lengths_and_flags())
        for name, arguments, options in calls:
            try:
                await getattr(peer, name)(*arguments, **options)
            except InvalidInput as refused:
                assert str(refused).endswith(".")  # noqa: PT017 - a failure must name the call
                continue
            raise AssertionError(f"{name}{arguments} {options} was taken")
        assert await peer.outbox() == before
        sent = await peer.grant(MY_IMAGE, 2, 1, expires=LATER)
        assert sent.request_id in [entry.request_id for entry in await peer.outbox()]


@pytest.mark.parametrize("value", [5, None, b"profile", True])
def test_places_that_are_none(value):
    with pytest.raises(InvalidInput):
        Peer(value, NOWHERE)
    with pytest.raises(InvalidInput):
        Peer("profile", value)


@pytest.mark.parametrize(("profile", "data", "passphrase"), [(5, b"", "x"), ("p", "text", "x"), ("p", b"", 5)])
def test_an_import_of_something_else(profile, data, passphrase, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput):
        Peer.import_identity(profile, data, passphrase)
    assert list(tmp_path.iterdir()) == []


def test_an_expiry_is_measured_by_the_cloud_s_time():
    """The clock of a client may be wrong by hours; the directory's is what counts."""
    assert checked_expiry(LATER, NOW) == LATER
    assert checked_expiry(2_000_000_000, NOW) == 2e9
    with pytest.raises(InvalidInput, match="over already"):
        checked_expiry(LATER, LATER)


async def test_the_cloud_s_time_goes_on_between_its_words(tmp_path):
    from shared.wire.peer_messages import CloudState

    moment = 10.0
    make_profile(tmp_path / "profile")
    async with Peer(tmp_path / "profile", NOWHERE, wall=lambda: NOW, clock=lambda: moment) as peer:
        context = peer._context
        assert context.now() == NOW
        state = CloudState(
            node="n1", leader="n1", term=1, directory_ok=True, signed_in=True, mail_waiting=0, now=NOW - 7200
        )

        class Session:
            remote_key = NOWHERE.nodes[0].key

        context.cloud._kept[NOWHERE.nodes[0].name].open = _NodeSession(Session)
        context.cloud._heard(Session, state)
        moment = 70.0
        assert context.now() == NOW - 7200 + 60
        context.cloud._heard(Session, msgspec.structs.replace(state, directory_ok=False, now=0.0))
        assert context.now() == NOW - 7200 + 60, "a node that does not know the time was believed"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", '"nan"', "1e400"])
def test_a_time_that_is_no_number_is_no_message_either(number):
    """Whatever a client sends, the directory never takes NaN or infinity for a time."""
    record = grant_record(ME, OTHER, GIVEN, MY_IMAGE)
    assert b'"expires":null' in record
    with pytest.raises(MalformedMessage):
        decode_record(record.replace(b'"expires":null', b'"expires":' + number.encode()))
    ended = encode(ops.LookEnded(view=ASK, lasted_s=5.0), cap_bytes=1000)
    assert b"5.0" in ended
    with pytest.raises(MalformedMessage):
        decode(ended.replace(b"5.0", number.encode()), ops.Operation, cap_bytes=1000)
