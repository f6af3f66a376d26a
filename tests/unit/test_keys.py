"""The actions that can be put on other keys: each has one name, and one meaning."""

import re

from tui.common.keys import actions, unknown, unusable


def test_actions_of_every_part_are_found():
    found = {action.id: action for action in actions()}
    assert found["users.request"].keys == "r"
    assert {"app.quit", "list.sort", "dialog.cancel", "viewer.close", "tab.users"} <= found.keys()
    assert all(re.fullmatch(r"[a-z_]+\.[a-z_]+", name) for name in found)
    assert all(action.what for action in found.values())


def test_names_of_no_action_are_told_apart():
    assert unknown({"users.request", "users.reqest", "app.quit"}) == ["users.reqest"]


def test_keys_that_no_terminal_sends_are_told_apart():
    """A slip in a key's name left an action without any key, and nobody said so."""
    assert unusable({"a.a": "f2, r,ctrl+x", "b.b": "question_mark,?,slash,minus,+,ä,shift+up,space,pageup"}) == []
    assert unusable({"a.a": "notakey,f2", "b.b": "", "c.c": "cntrl+x", "d.d": "F2"}) == ["", "F2", "cntrl+x", "notakey"]
