"""The last line of a screen: the keys that do something here, as many as there is room for, the palette at the end."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar, Final

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual import events
    from textual.screen import Screen

_MORE: Final = "…"
_DIM: Final = Style(dim=True)


@dataclass(frozen=True, slots=True)
class Hint:
    """Keys and what they do; `lasting` where they do so wherever on the screen the focus is.

    `keys` has for each its name and how it is shown: one, or a few that do much the same, such as arrows.
    """

    keys: tuple[tuple[str, str], ...]
    does: str
    tooltip: str = ""
    enabled: bool = True
    lasting: bool = False

    @property
    def cells(self) -> int:
        """How wide it is, with a blank around the keys and one behind what they do."""
        return sum(cell_len(shown) for _, shown in self.keys) + cell_len(self.does) + 3

    def key_at(self, x: int) -> str:
        """Return the key at a cell of the hint: the only one, or the one that is shown there, empty for none."""
        if len(self.keys) == 1:
            return self.keys[0][0]
        at = 1
        for key, shown in self.keys:
            if at <= x < at + cell_len(shown):
                return key
            at += cell_len(shown)
        return ""


def fitting(hints: Sequence[Hint], cells: int) -> tuple[list[Hint], bool]:
    """Return the hints that have room side by side, and whether some have not; then there is room for a sign of it.

    Those that come last give way first, lasting ones last of all: they lead to the rest. The very last blank may.
    """
    shown, sign = list(hints), -1
    while shown and sum(hint.cells for hint in shown) + sign > cells:
        passing = [hint for hint in shown if not hint.lasting] or shown
        shown.remove(passing[-1])
        sign = cell_len(_MORE)
    return shown, len(shown) < len(hints)


class Footer(Widget):
    """One line without children, painted only if other keys apply: the focus moves often. A click presses the key."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"footer--key", "footer--does", "footer--hover", "footer--edge"}
    DEFAULT_CSS = """
    Footer {
        dock: bottom; height: 1; color: $footer-foreground; background: $footer-background;

        & > .footer--key {
            color: $footer-key-foreground; background: $footer-key-background; text-style: bold;
        }
        & > .footer--does { color: $footer-description-foreground; background: $footer-description-background; }
        & > .footer--hover { color: $footer-key-foreground; background: $block-hover-background; }
        & > .footer--edge { color: $foreground 20%; }
    }
    """

    hovered: reactive[str] = reactive("", init=False)
    """The key under the mouse."""

    def __init__(self) -> None:
        super().__init__()
        self._hints: tuple[Hint, ...] = ()
        self._palette: Hint | None = None
        self._looks_soon = False

    def on_mount(self) -> None:
        """Follow which keys apply, also after a screen in front is gone, which may have hidden a change."""
        self.screen.bindings_updated_signal.subscribe(self, self._other_keys)
        self.watch(self.screen, "stack_updates", self._look_soon, init=False)

    def on_unmount(self) -> None:
        """Stop following."""
        self.screen.bindings_updated_signal.unsubscribe(self)

    # --- Which keys --------------------------------------------------------------------------------------------------
    def _other_keys(self, screen: Screen[object]) -> None:
        if screen is self.screen:
            self._look_soon()

    def _look_soon(self) -> None:
        # Not after the next refresh: that of a screen that stands before this one never comes where it goes first.
        if self.app.app_focus and not self._looks_soon:
            self._looks_soon = self.call_later(self._look)

    def _look(self) -> None:
        self._looks_soon = False
        if not self.is_attached:
            return
        found = self._hints, self._palette
        self._hints, self._palette = tuple(self._applying()), self._hint_of_palette()
        if found != (self._hints, self._palette):
            self.refresh()

    def _applying(self) -> Iterable[Hint]:
        """Yield the keys that apply now, one for each action or group, those of what has the focus first."""
        everywhere = (self.screen, self.app)
        active = [each for each in self.screen.active_bindings.values() if each.binding.show]
        first = {each.binding.action: each for each in reversed(active)}
        told = [each for each in active if first[each.binding.action] is each]
        for group, alike in groupby(told, lambda each: each.binding.group or each.binding.action):
            members = list(alike)
            node, binding, enabled, tooltip = members[0]
            keys = tuple((each.binding.key, self.app.get_key_display(each.binding)) for each in members)
            does = group.description if isinstance(group, Binding.Group) else binding.description
            yield Hint(keys, does, tooltip, enabled, lasting=node in everywhere)

    def _hint_of_palette(self) -> Hint | None:
        active = self.screen.active_bindings.get(self.app.COMMAND_PALETTE_BINDING)
        if active is None or not self.app.ENABLE_COMMAND_PALETTE:
            return None
        binding = active.binding
        told = binding.tooltip or binding.description
        keys = ((binding.key, self.app.get_key_display(binding)),)
        return Hint(keys, binding.description, told, active.enabled)

    # --- Where they are ----------------------------------------------------------------------------------------------
    def spots(self) -> list[tuple[int, Hint]]:
        """Return the hints that are shown, each with the cell that it begins at."""
        shown, _ = fitting(self._hints, self._room)
        found, at = [], 0
        for hint in shown:
            found.append((at, hint))
            at += hint.cells
        if self._palette is not None:
            found.append((self._room, self._palette))
        return found

    @property
    def _room(self) -> int:
        """Cells beside the palette's hint, which has an edge in place of the blank before it."""
        return max(0, self.size.width - (0 if self._palette is None else self._palette.cells))

    def hint_at(self, x: int) -> tuple[str, Hint | None]:
        """Return the key at a cell of the line and the hint that it is part of."""
        for at, hint in self.spots():
            if at <= x < at + hint.cells:
                return hint.key_at(x - at), hint
        return "", None

    # --- Painting ----------------------------------------------------------------------------------------------------
    def render_line(self, y: int) -> Strip:
        """Return the line."""
        width, style = self.size.width, self.rich_style
        if y:
            return Strip.blank(width, style)
        shown, more = fitting(self._hints, self._room)
        segments = [segment for hint in shown for segment in self._segments(hint, style)]
        if more:
            segments.append(Segment(_MORE, style + self.get_component_rich_style("footer--does", partial=True)))
        strip = Strip(segments).adjust_cell_length(self._room, style)
        if self._palette is not None:
            edge = Segment("▏", self.get_component_rich_style("footer--edge"))
            strip = Strip.join([strip, Strip(self._segments(self._palette, style, edge))])
        return strip.adjust_cell_length(width, style)

    def _segments(self, hint: Hint, style: Style, edge: Segment | None = None) -> Iterable[Segment]:
        key, does = (style + self.get_component_rich_style(f"footer--{part}", partial=True) for part in ("key", "does"))
        over = self.get_component_rich_style("footer--hover")
        if len(hint.keys) == 1 and hint.keys[0][0] == self.hovered:
            key, does = key + over, does + over
        if not hint.enabled:
            key, does = key + _DIM, does + _DIM
        yield edge or Segment(" ", key)
        for name, shown in hint.keys:
            yield Segment(shown, key + over if name == self.hovered else key)
        yield Segment(" ", key)
        yield Segment(f"{hint.does} ", does)

    # --- The mouse ---------------------------------------------------------------------------------------------------
    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Mark the key under the mouse, and tell more of it."""
        self.hovered, hint = self.hint_at(event.x)
        self.tooltip = None if hint is None else hint.tooltip or None

    def on_leave(self) -> None:
        """Mark nothing."""
        self.hovered = ""

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Press the key."""
        key, hint = self.hint_at(event.x)
        if hint is None or not key:
            return
        if hint.enabled:
            self.app.simulate_key(key)
        else:
            self.app.bell()
