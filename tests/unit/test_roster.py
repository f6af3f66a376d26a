"""The roster: everybody heard of once, as heard of last; who has gone away; who matches what is typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.client import user_directory
from tui.client.user_directory import (
    UserDirectory,
    folded,
    last_seen,
    order_by_name,
    order_by_presence,
    pages_to_come,
    reach_the_away,
)
from tui.peer.models import User, UserPage

ME = 7
WORDS = "amber basil cedar delta"


def user(account, name="", *, online=False, words=WORDS, images=0, seen=None):
    return User(account, name or f"user {account}", words, online, images, seen)


def page(*users, total=None):
    return UserPage(tuple(users), len(users) if total is None else total)


def accounts(users):
    return sorted(found.account for found in users)


def test_people_are_kept_once_as_heard_of_last_and_oneself_is_not_among_them():
    people = UserDirectory(ME)
    people.merge(page(user(ME, "me"), user(1, "Ann"), total=4))
    people.merge(page(user(1, "Anna", online=True), user(2, "Ben"), total=4))
    assert accounts(people.matching("")) == [1, 2]
    assert people.matching("#1") == [user(1, "Anna", online=True)]
    assert (len(people), people.total, people.online, people.complete) == (2, 3, 1, False)
    people.merge(page(user(3), total=4))
    assert people.complete


def test_the_count_is_right_before_oneself_was_told():
    people = UserDirectory(ME)
    people.merge(page(user(1), total=3))
    assert people.total == 2
    assert UserDirectory().total == 0
    assert UserDirectory(ME).complete


@given(
    st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.sampled_from(["a", "É", "b c"])), max_size=30), st.data()
)
def test_however_pages_are_cut_the_last_word_on_each_person_counts(told, data):
    people, expected = UserDirectory(ME), {}
    while told:
        count = data.draw(st.integers(1, len(told)))
        part, told = told[:count], told[count:]
        users = [user(account, name, online=online) for account, online, name in part]
        people.merge(page(*users, total=9))
        expected |= {found.account: found for found in users if found.account != ME}
    assert {found.account: found for found in people.matching("")} == expected
    assert people.online == sum(found.online for found in expected.values())


def test_who_was_online_and_is_not_told_among_the_online_has_gone_away():
    people = UserDirectory()
    people.merge(page(*(user(n, online=True) for n in range(5)), total=6))
    people.merge_first([page(user(0, online=True), user(1, online=True), total=6), page(user(5), total=6)])
    assert [found.account for found in people.matching("") if found.online] == [0, 1]
    assert len(people) == 6


def test_first_pages_that_are_all_online_say_nothing_of_the_others():
    people = UserDirectory()
    people.merge(page(*(user(n, online=True) for n in range(5)), total=9))
    people.merge_first([page(user(0, online=True), total=9)])
    assert people.online == 5
    people.merge_first([])
    assert people.online == 5


def test_pages_reach_the_away_with_the_first_of_them_or_the_end():
    online = user(1, online=True)
    assert not reach_the_away([])
    assert not reach_the_away([page(online, total=2)])
    assert reach_the_away([page(online, total=1)])
    assert reach_the_away([page(online, total=3), page(user(2), total=3)])
    assert reach_the_away([page(total=5)]) is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [1, 2, 12, 120]),
        ("an", [1]),
        ("AN", [1]),
        ("emile", [2]),
        ("ÉM", [2]),
        ("e\u0301mi", [2]),
        ("straße", [12]),
        ("strasse", [12]),
        ("basil", [1, 12]),
        ("otter  AMBER", [2, 120]),
        ("ann otter", []),
        ("12", [12, 120]),
        ("#12", [12, 120]),
        ("#120", [120]),
        ("20", []),
        ("# ", [1, 2, 12, 120]),
        ("[b]", [120]),
        ("%", []),
    ],
)
def test_a_filter_looks_for_every_word_in_name_id_and_fingerprint(text, expected):
    people = UserDirectory()
    otter = "otter amber"
    people.merge(
        page(user(1, "Ann"), user(2, "Émile", words=otter), user(12, "Straße"), user(120, "[b]x", words=otter))
    )
    assert accounts(people.matching(text)) == expected


def test_a_filter_finds_people_by_the_name_they_have_now():
    people = UserDirectory()
    people.merge(page(user(1, "Ann")))
    people.merge(page(user(1, "Ben")))
    assert people.matching("ann") == []
    assert accounts(people.matching("ben")) == [1]


def test_what_a_search_found_does_not_change_how_many_there_are():
    people = UserDirectory(ME)
    people.merge(page(user(1), total=500))
    people.found(page(user(400), total=1))
    assert (len(people), people.total, people.complete) == (2, 499, False)


def test_orders():
    people = [user(1, "bob"), user(2, "Ann", online=True), user(3, "ann"), user(4, "Zoë", online=True)]
    assert [found.account for found in sorted(people, key=order_by_presence)] == [2, 4, 3, 1]
    assert [found.account for found in sorted(people, key=order_by_name)] == [2, 3, 1, 4]
    assert min([user(1, seen=5.0), user(2), user(3, seen=-1.0)], key=last_seen).account == 2


def test_folding_keeps_what_has_no_case():
    assert folded("日本 İx") == folded("日本 i\u0307X")
    assert folded("ABC") == "abc"


def test_pages_to_come(monkeypatch):
    rows = tuple(user(number) for number in range(10))
    assert list(pages_to_come(UserPage(rows, 10))) == []
    assert list(pages_to_come(UserPage(rows, 11))) == [1]
    assert list(pages_to_come(UserPage(rows, 35))) == [1, 2, 3]
    assert list(pages_to_come(UserPage((), 35))) == []
    monkeypatch.setattr(user_directory, "MAX_PEOPLE", 20)
    assert list(pages_to_come(UserPage(rows, 10_000))) == [1]
