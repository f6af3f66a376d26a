"""What this program uses of the inside of Textual, and that it still has to.

Each test about a fault of Textual fails when Textual has mended it; then what goes round the fault goes too.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import pkgutil
import textwrap
from io import StringIO

import pytest
from rich.console import Console
from rich.segment import Segment
from textual.app import App
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

import tui
from tests.tui.quiet import running, settled
from tui.common.compositor import FaithfulCompositor

USED = {
    ("CellStrip", "_render_cache"),
    ("CellStrip", "_segments"),
    ("FaithfulCompositor", "_full_map"),
    ("GlimpseClient", "_fatal_error"),
    ("HomeScreen", "_compositor"),
    ("MonitorScreen", "_compositor"),
}
"""Each is explained where it is used, and has a test below."""


# --- What is used ----------------------------------------------------------------------------------------------------
def private_names(cls: type, context: tuple[type[ast.expr_context], ...]) -> set[str]:
    """Return the names with one underscore that a class has in its body, or uses with `self` in one of the contexts."""
    [tree] = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, context)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("self", "cls")
        ):
            names.add(node.attr)
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names.update(target.id for target in targets if isinstance(target, ast.Name))
    return {name for name in names if name.startswith("_") and not name.endswith("__")}


def own_classes() -> list[type]:
    modules = [importlib.import_module(found.name) for found in pkgutil.walk_packages(tui.__path__, "tui.")]
    return [
        cls
        for module in modules
        for cls in vars(module).values()
        if inspect.isclass(cls) and cls.__module__ == module.__name__
    ]


def test_no_attribute_is_one_of_the_library_by_accident_or_unexplained() -> None:
    """An attribute of the same name as one of Textual's own breaks what Textual keeps in it, without any message."""
    theirs: dict[type, set[str]] = {}
    used = set()
    for cls in own_classes():
        bases = [base for base in cls.__mro__ if base.__module__.partition(".")[0] in ("textual", "rich")]
        mine = private_names(cls, (ast.Load, ast.Store, ast.Del)) if bases else set()
        for base in bases:
            if base not in theirs:
                theirs[base] = private_names(base, (ast.Store,))
            used |= {(cls.__name__, name) for name in mine & theirs[base]}
    assert used == USED


# --- Faults of Textual ------------------------------------------------------------------------------------------------
class Row(Widget):
    DEFAULT_CSS = "Row { width: 1fr; height: 3; }"

    def __init__(self) -> None:
        super().__init__()
        self.widths: list[int] = []

    def on_resize(self) -> None:
        self.widths.append(self.size.width)


class Rows(Screen[None]):
    def compose(self):
        yield Row()
        with VerticalScroll():
            yield from (Row() for _ in range(20))


class FaithfulRows(Rows):
    def __init__(self) -> None:
        super().__init__()
        self._compositor = FaithfulCompositor()


async def widths_told(screen: Rows) -> list[int]:
    """Take 20 columns from a row, while something asks where a row out of sight is; return which widths it hears of."""
    app = App[None]()
    async with running(app, size=(80, 24)) as pilot:
        await app.push_screen(screen)
        await settled(pilot)
        screen.query_one(VerticalScroll).scroll_to(y=5, animate=False)
        await settled(pilot)
        beside = Widget()
        beside.styles.dock, beside.styles.width = "right", 20
        screen.mount(beside)
        await asyncio.sleep(0)
        _ = screen.query(Row).last().region
        await settled(pilot)
        row = screen.query(Row).first()
        assert row.size.width == 60
        return row.widths


@pytest.mark.anyio
async def test_textual_forgets_to_tell_a_widget_its_new_size() -> None:
    assert await widths_told(Rows()) == [80]


@pytest.mark.anyio
async def test_the_compositor_of_this_program_does_not_forget() -> None:
    assert await widths_told(FaithfulRows()) == [80, 60]


@pytest.mark.anyio
async def test_textual_prints_local_variables_when_it_fails() -> None:
    app = App[None]()
    app.error_console = Console(file=StringIO(), width=200)

    def fail(passphrase: str) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        async with running(app) as pilot:
            app.call_later(fail, "typed by somebody")
            await settled(pilot)

    with pytest.raises(ZeroDivisionError):
        await run()
    assert "typed by somebody" in app.error_console.file.getvalue()


def test_textual_joins_strips_without_asking_a_subclass_for_its_segments_or_its_codes() -> None:
    class Late(Strip):
        def __iter__(self):
            return iter([Segment("abc")])

        @property
        def cell_count(self) -> int:
            return 3

        def render(self, console):
            return "abc"

    joined = Strip.join([Late([], 3), Strip([Segment("d")])])
    assert joined.text == "d"
    assert joined.render(Console()) == "d"
