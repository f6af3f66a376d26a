"""The profiles on this machine, to choose one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Label, Static

from tui.common.rowlist import Column, RowList
from tui.common.wording import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from tui.peer.profiles import ProfileSummary

_WORDS_FROM_CELLS = 120
"""Width from which the fingerprint words have room in the list, besides standing below it."""
_MAX_TROUBLE_CELLS = 400


class ProfileList(Vertical):
    """Lists profiles, and says below the list what cannot stand in a line."""

    @dataclass
    class Chosen(Message):
        """The person wants to open this profile."""

        profile: ProfileSummary

    class New(Message):
        """The person wants another account."""

    class Restore(Message):
        """The person wants to import one."""

    def compose(self) -> ComposeResult:
        """Compose list, details and the ways on."""
        columns = (
            Column("profile", "Profile", 14),
            Column("name", "Name"),
            Column("account", "Id", 8, align="right"),
            Column("words", "Fingerprint", 56, hide_below=_WORDS_FROM_CELLS),
            Column("state", "", 22),
        )
        yield Label("Profiles on this machine", classes="title", markup=False)
        yield RowList(columns, key=lambda row: row.name, cells=cells, id="profiles")
        yield Static("", id="profile-details", markup=False)
        with Horizontal(classes="choices"):
            yield Button("Open", id="open", variant="primary")
            yield Button("New account", id="new")
            yield Button("Import", id="restore")

    @property
    def rows(self) -> RowList[ProfileSummary]:
        """The list."""
        return self.query_one("#profiles", RowList)

    def set_profiles(self, profiles: Sequence[ProfileSummary]) -> None:
        """Show these."""
        self.rows.set_rows(profiles)
        self._tell(self.rows.current)

    def take_focus(self) -> None:
        """Put the focus on the list."""
        self.rows.focus()

    @on(RowList.Highlighted, "#profiles")
    def _move(self, event: RowList.Highlighted) -> None:
        event.stop()
        self._tell(event.row)

    @on(RowList.Selected, "#profiles")
    @on(Button.Pressed, "#open")
    def _open(self, event: Message) -> None:
        event.stop()
        profile = self.rows.current
        if profile is not None:
            self.post_message(self.Chosen(profile))

    @on(Button.Pressed, "#new")
    def _new(self, event: Message) -> None:
        event.stop()
        self.post_message(self.New())

    @on(Button.Pressed, "#restore")
    def _restore(self, event: Message) -> None:
        event.stop()
        self.post_message(self.Restore())

    def _tell(self, profile: ProfileSummary | None) -> None:
        self.query_one("#profile-details", Static).update(Text("") if profile is None else details(profile))
        self.query_one("#open", Button).label = "Restore" if profile is not None and profile.key_lost else "Open"


def cells(profile: ProfileSummary) -> tuple[str, str, str, str, str]:
    """Return what stands in a line about a profile."""
    account = "" if profile.account is None else f"#{profile.account}"
    return profile.name, plain(profile.shown_name, 48), account, plain(profile.words, 60), state(profile)


def state(profile: ProfileSummary) -> str:
    """Return in a word or two what is to be known before a profile is opened."""
    if profile.held_by is not None:
        return f"open in process {profile.held_by}"
    if profile.key_lost:
        return "key lost"
    if profile.trouble:
        return "damaged"
    if profile.locked:
        return "locked"
    return "" if profile.account is not None else "not registered yet"


def details(profile: ProfileSummary) -> Text:
    """Return what is to be known of a profile beside its line."""
    if profile.trouble:
        return Text(plain(profile.trouble, _MAX_TROUBLE_CELLS))
    if profile.held_by is not None:
        return Text(f"This profile is open in process {profile.held_by}; close that one first.")
    return Text(f"Fingerprint: {plain(profile.words, 80)}" if profile.words else "Nobody has registered in it yet.")
