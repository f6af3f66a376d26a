"""Requests in rows and words, and what may be done with each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from itertools import product
from typing import Any

import pytest
from rich.cells import cell_len

from shared.text import is_clean
from tui.client.transfers import STALE_S, Transfers
from tui.client.view_requests import (
    STATE_CELLS,
    Ask,
    RequestDecision,
    arranged,
    describe,
    percent,
    state_words,
    why_not,
)
from tui.peer.events import CopyProgress
from tui.peer.models import AskState, Requests, ViewRequest

NOW = 1_800_000_000.0
GRANT = "f" * 32
HOSTILE = "\x1b[31m[red]\u202eevil\u2066 \U0001f469\u200d\U0001f680 [@click=app.quit]x[/]\r\n" + "long " * 2_000


def request(number: int = 1, **changes: Any) -> ViewRequest:
    values: dict[str, Any] = {
        "request_id": f"{number:032x}",
        "image": "a" * 32,
        "title": "Lake",
        "person": 12,
        "person_name": "Ben",
        "words": "amber basil",
        "views": 3,
        "note": "",
        "state": AskState.PENDING,
        "reason": "",
        "created": NOW - 300,
    }
    return ViewRequest(**{**values, **changes})


def transfers(*events: CopyProgress) -> Transfers:
    known = Transfers(lambda: 0.0)
    for event in events:
        known.hear(event)
    return known


def rows(
    incoming: tuple[ViewRequest, ...] = (), outgoing: tuple[ViewRequest, ...] = (), **actions: RequestDecision
) -> Any:
    return arranged(
        Requests(incoming, outgoing, True), {f"{int(n[1:]):032x}": d for n, d in actions.items()}, transfers()
    )


def test_what_waits_comes_first_and_the_newest_before_the_older() -> None:
    states = [AskState.REJECTED, AskState.PENDING, AskState.ACCEPTED, AskState.PENDING]
    given = tuple(request(number, state=state, created=NOW - number) for number, state in enumerate(states))
    assert [ask.request.created - NOW for ask in rows(given).incoming] == [-1, -3, 0, -2]
    queued = (request(1, state=AskState.RECEIVED, created=NOW), request(2, state=AskState.QUEUED, created=NOW - 9))
    assert [ask.request.state for ask in rows(outgoing=queued).outgoing] == ["queued", "received"]


def test_only_what_this_person_has_to_answer_counts() -> None:
    given = (
        request(1),
        request(2, waits=True),
        request(3, state=AskState.ACCEPTED),
        request(4, state=AskState.WITHDRAWN),
        request(5),
        request(6),
    )
    assert rows(given, (request(7),), n5=RequestDecision.ACCEPT).unanswered == 2


def test_a_person_counts_as_known_once_a_request_was_accepted() -> None:
    asks = rows((request(1, state=AskState.REJECTED), request(2, person=13, state=AskState.ACCEPTED)))
    assert not asks.accepted_before(12)
    assert asks.accepted_before(13)
    assert not rows((), (request(3, state=AskState.RECEIVED),)).accepted_before(12)


@pytest.mark.parametrize(
    ("incoming", "changes", "words"),
    [
        (True, {}, "● needs an answer"),
        (True, {"waits": True}, "◌ answer waits"),
        (True, {"state": AskState.ACCEPTED, "waits": True}, "✓ still to send"),
        (True, {"state": AskState.ACCEPTED}, "✓ accepted"),
        (True, {"state": AskState.REJECTED}, "✗ rejected"),
        (True, {"state": AskState.WITHDRAWN}, "– taken back"),
        (False, {"state": AskState.QUEUED}, "◌ in the outbox"),
        (False, {}, "● not answered yet"),
        (False, {"state": AskState.ACCEPTED}, "✓ accepted"),
        (False, {"state": AskState.RECEIVED}, "✓ received"),
        (False, {"state": AskState.REJECTED}, "✗ rejected"),
        (False, {"state": AskState.WITHDRAWN}, "– withdrawn"),
    ],
)
def test_states_in_words(incoming: bool, changes: dict[str, Any], words: str) -> None:
    assert state_words(Ask(request(**changes), incoming)) == words


def test_every_state_has_words_that_fit_and_a_sentence() -> None:
    for state, incoming, waits, deed, arrived in product(
        AskState, (True, False), (True, False), (None, *RequestDecision), (None, 0.0, 1.0)
    ):
        ask = Ask(request(state=state, waits=waits), incoming, deed, arrived)
        assert 0 < cell_len(state_words(ask)) <= STATE_CELLS
        assert describe(ask, NOW).state.endswith((".", "…"))


def test_a_request_is_told_with_everything_that_is_known() -> None:
    ask = Ask(request(note="Please", state=AskState.REJECTED, reason="No", answered=NOW - 60), incoming=False)
    said = describe(ask, NOW, UTC)
    assert (said.person, said.words, said.asked) == ("Ben #12", "amber basil", "You ask for 3 views of “Lake”")
    assert (said.when, said.note) == ("5 min ago (2027-01-15 07:55)", "“Please”")
    assert (said.state, said.reason) == ("Rejected 1 min ago.", "Reason: No")
    trouble = Ask(request(state=AskState.QUEUED, reason="The cloud did not answer."), incoming=False)
    assert describe(trouble, NOW).reason == "The cloud did not answer."


def test_a_request_of_an_unknown_image_and_person_has_words_too() -> None:
    said = describe(Ask(request(person=0, person_name="", title="", words="", state=AskState.QUEUED), False), NOW)
    assert (said.person, said.words, said.asked) == ("somebody", "", "You ask for 3 views of “an image”")


def test_what_comes_from_elsewhere_is_harmless_and_bounded() -> None:
    given = request(title=HOSTILE, person_name=HOSTILE, words=HOSTILE, note=HOSTILE, reason=HOSTILE)
    for state, incoming in product(AskState, (True, False)):
        ask = Ask(replace(given, state=state), incoming)
        said = describe(ask, NOW)
        for line in (
            said.person,
            said.words,
            said.asked,
            said.when,
            said.note,
            said.state,
            said.reason,
            ask.name,
            ask.title,
            *(why_not(ask, deed) for deed in RequestDecision),
        ):
            assert is_clean(line)
            assert cell_len(line) < 650


# --- What may be done ------------------------------------------------------------------------------------------------
def test_answers_are_for_unanswered_requests_of_others_and_withdrawing_for_open_ones_of_one_s_own() -> None:
    for state, incoming, waits, deed in product(AskState, (True, False), (True, False), (None, *RequestDecision)):
        ask = Ask(request(state=state, waits=waits), incoming, deed)
        answerable = incoming and state is AskState.PENDING and not waits and deed is None
        assert answerable == ask.unanswered
        for answer in (RequestDecision.ACCEPT, RequestDecision.REJECT):
            assert (why_not(ask, answer) == "") == answerable
        withdrawable = not incoming and state in (AskState.QUEUED, AskState.PENDING) and deed is None
        assert (why_not(ask, RequestDecision.WITHDRAW) == "") == withdrawable


def test_a_deed_without_a_request_says_so() -> None:
    assert why_not(None, RequestDecision.ACCEPT) == "There is no request to answer."
    assert why_not(None, RequestDecision.WITHDRAW) == "There is no request to withdraw."


# --- Transfers -------------------------------------------------------------------------------------------------------
def test_progress_belongs_to_accepted_requests_of_its_grant_and_way() -> None:
    known = transfers(CopyProgress(GRANT, sending=True, done=42, total=100))
    accepted = request(1, state=AskState.ACCEPTED, grant=GRANT, waits=True)
    found = Requests(
        (accepted, request(2, state=AskState.ACCEPTED, grant="e" * 32), request(3, grant=GRANT)),
        (replace(accepted, request_id="4" * 32, waits=False),),
        True,
    )
    asks = arranged(found, {}, known)
    by_id = {ask.request.request_id[-1]: ask for ask in asks.incoming + asks.outgoing}
    assert {number: ask.arrived for number, ask in by_id.items()} == {"1": 0.42, "2": None, "3": None, "4": None}
    assert state_words(by_id["1"]) == "↑ sending 42 %"
    assert describe(by_id["1"], NOW).state == "Accepted; the picture is on its way to Ben: 42 %."
    slow = replace(by_id["1"], left_s=130.0)
    assert describe(slow, NOW).state == "Accepted; the picture is on its way to Ben: 42 %, about 3 min left."

    sent = arranged(replace(found, incoming=(replace(accepted, waits=False),)), {}, known)
    assert state_words(sent.incoming[0]) == "✓ accepted"
    assert asks.of_grant(GRANT) is not None
    assert asks.of_grant("9" * 32) is None
    relayed = arranged(found, {}, transfers(CopyProgress(GRANT, sending=True, done=1, total=2, path="through n2")))
    [told] = [describe(ask, NOW).state for ask in relayed.incoming if ask.arrived is not None]
    assert told == "Accepted; the picture is on its way to Ben: 50 % (through n2)."
    received = arranged(found, {}, transfers(CopyProgress(GRANT, sending=False, done=42, total=100)))
    assert state_words(received.outgoing[0]) == "↓ receiving 42 %"


def test_how_long_a_transfer_takes_is_told_by_its_speed() -> None:
    now = 0.0
    known = Transfers(lambda: now)
    known.hear(CopyProgress(GRANT, sending=True, done=0, total=100))
    now = 4.0
    known.hear(CopyProgress(GRANT, sending=True, done=20, total=100))
    assert known.left_s(GRANT, sending=True) == 16.0
    assert known.left_s(GRANT, sending=False) is None
    accepted = request(1, state=AskState.ACCEPTED, grant=GRANT, waits=True)
    [ask] = arranged(Requests((accepted,), (), True), {}, known).incoming
    assert (ask.arrived, ask.left_s) == (0.2, 16.0)


def test_a_transfer_of_which_nothing_more_is_heard_is_not_told_as_going_on() -> None:
    now = 100.0
    known = Transfers(lambda: now)
    known.hear(CopyProgress(GRANT, sending=True, done=1, total=2))
    now += STALE_S - 0.1
    assert known.share(GRANT, sending=True) == 0.5
    now += 0.1
    assert known.share(GRANT, sending=True) is None
    known.hear(CopyProgress(GRANT, sending=True, done=2, total=2))
    assert known.share(GRANT, sending=True) == 1.0
    known.end(GRANT)
    assert known.share(GRANT, sending=True) is None


def test_progress_of_nothing_and_of_too_much() -> None:
    known = transfers(
        CopyProgress("1" * 32, sending=True, done=0, total=0), CopyProgress("2" * 32, sending=True, done=9, total=3)
    )
    assert known.share("1" * 32, sending=True) == 0.0
    assert known.share("2" * 32, sending=True) == 1.0
    assert (percent(0.999), percent(1.0), percent(0.0)) == ("99 %", "100 %", "0 %")
