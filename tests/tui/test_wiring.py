"""What Textual finds by name: a class that was renamed must not lose its style or its handlers without a word."""

import ast
import inspect
import pkgutil
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import textual.widgets
from textual.app import App
from textual.css.model import SelectorType
from textual.css.stylesheet import Stylesheet
from textual.dom import DOMNode
from textual.message import Message

import tui.client
import tui.common
import tui.monitor

STYLES = Path(tui.client.__file__).parents[1] / "styles"
TEXTUAL_ON_PURPOSE = {"_compositor", "_fatal_error", "_on_paste"}
"""Attributes of Textual that classes here replace knowingly."""


@cache
def descendants(kind: type) -> frozenset[type]:
    for package in (tui.client, tui.common, tui.monitor):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(found.name)
    for name in textual.widgets.__all__:
        getattr(textual.widgets, name)
    return frozenset({kind}).union(*(descendants(child) for child in kind.__subclasses__()))


def ours() -> list[type]:
    return [kind for kind in descendants(DOMNode) if kind.__module__.startswith("tui.")]


def test_every_handler_is_named_after_a_message() -> None:
    """Textual calls `on_dialog_done` for `Dialog.Done` only; a handler of another name is never called."""
    heard = {kind.handler_name for kind in descendants(Message) - {Message}}
    handlers = {(kind.__name__, name) for kind in ours() for name in vars(kind) if name.startswith(("on_", "_on_"))}
    assert len(handlers) > 50
    assert [handler for handler in sorted(handlers) if handler[1].lstrip("_") not in heard] == []


def test_every_style_is_of_a_class_that_exists() -> None:
    """A style for a class that is gone is applied to nothing, and nobody says so."""
    sheet = Stylesheet(variables=App().get_css_variables())
    for path in sorted(STYLES.glob("*.tcss")):
        sheet.read(path)
    for kind in ours():
        if css := vars(kind).get("DEFAULT_CSS"):
            sheet.add_source(css, (kind.__module__, kind.__name__), is_default_css=True)
    selectors = {
        selector.name
        for rule in sheet.rules
        for chain in rule.selector_set
        for selector in chain.selectors
        if selector.type is SelectorType.TYPE
    }
    assert len(selectors) > 50
    assert sorted(selectors - {kind.__name__ for kind in descendants(DOMNode)}) == []


@cache
def private_attributes(kind: type) -> frozenset[str]:
    """Return the private names that a class sets on itself: methods, and what its methods set on `self`."""
    tree = ast.parse(inspect.getsource(sys.modules[kind.__module__]))
    body = next(
        (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == kind.__name__), tree
    )
    functions = {node.name for node in body.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    stored = {
        node.attr
        for node in ast.walk(body)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    return frozenset(name for name in functions | stored if name.startswith("_") and not name.startswith("__"))


def test_no_class_takes_a_private_name_of_textual() -> None:
    """`_running` of a dialog of ours once was Textual's own, and the dialog missed changes of the theme."""
    taken = {
        (kind.__name__, name)
        for kind in ours()
        for base in kind.__mro__
        if base.__module__.startswith("textual")
        for name in private_attributes(kind) & private_attributes(base)
    }
    assert {(kind, name) for kind, name in taken if name not in TEXTUAL_ON_PURPOSE} == set()
