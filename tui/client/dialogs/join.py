"""The code of an invitation, which leads to a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Input, Label, Static

from tui.client.dialogs.base import ActionDialog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from textual.widget import Widget


class JoinDialog(ActionDialog[bool]):
    """Ask for a code and find the cluster that it leads to; the result is True once it is used.

    `join` finds it. A profile goes on with the cluster in which it was made.
    """

    HEADING = "Join by an invitation"
    ACCEPT = "Join"
    DOING = "Looking for the cluster…"

    def __init__(self, join: Callable[[str], Awaitable[None]]) -> None:
        super().__init__()
        self._join = join

    def body(self) -> Iterable[Widget]:
        """Return the field and what belongs there."""
        yield Label("The code that `glimpse invite` printed", classes="field", markup=False)
        yield Input(placeholder="GLIMPSE…", id="code")
        yield Static(
            "It says where the cluster is and by which keys it is known. Profiles on this machine stay with theirs.",
            markup=False,
            classes="text muted",
        )

    def action(self) -> Callable[[], Awaitable[bool]] | None:
        """Return the search for what was typed or pasted."""
        from shared.errors import InvalidInput
        from shared.invitation import Invitation

        code = self.query_one("#code", Input).value
        try:
            Invitation.of(code)
        except InvalidInput as error:
            self.complain(str(error))
            return None
        return lambda: self._found(code)

    async def _found(self, code: str) -> bool:
        await self._join(code)
        return True
