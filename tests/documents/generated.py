"""The parts of the documents that are written from the code, each between two markers in its page."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

from msgspec import inspect

from shared import config
from shared.net import control
from shared.transfer.frames import FailureCode
from shared.wire import feed_messages as feed
from shared.wire import labels, node_messages, operations, peer_messages
from shared.wire.base import Message
from shared.wire.refusals import FINAL_CODES, REFUSAL_TEXTS, RefusalCode

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GROUPS: tuple[tuple[str, Any], ...] = (
    ("Between nodes", node_messages.NodeMessage),
    ("Peer or operator to node", peer_messages.PeerToNode),
    ("Node to peer or operator", peer_messages.NodeToPeer),
    ("Peer to peer", peer_messages.PeerToPeer),
    ("Status feed, monitor to node", feed.WatchMessage),
    ("Status feed, node to monitor", feed.FeedMessage),
    ("Operations, inside a Request", operations.Operation),
    ("Outcomes, inside an Answer", operations.Outcome),
    ("Letters, inside a MailItem", operations.Letter),
    ("Labels of objects, inside an offer", labels.Label),
    ("About transfers, after the first byte 01", control.ControlMessage),
)
RETIRED = {
    32: "a record of the audit log (`Audited`)",
    33: "its acknowledgement (`AuditHeld`)",
    34: "a choice of policy (`PolicyIs`)",
    35: "its acknowledgement (`PolicyHeld`)",
    70: "changed rights as a whole grant, which no datagram could hold; 73 took its place",
}
"""Kinds that were given once and are not used any more, with what they were. They are never given again."""


WORDS = {r"^[0-9a-f]{32}$": "id", r"^[a-z0-9][a-z0-9_-]*$": "node name"}
"""What texts of a pattern are called in the tables; protocol.md tells both."""


def kind_of(message: type[Message]) -> int:
    """Return the number under `k`."""
    tag = message.__struct_config__.tag
    assert isinstance(tag, int)
    return tag


def kinds() -> dict[int, type[Message]]:
    """Return every message by its kind."""
    return {kind_of(message): message for _, union in GROUPS for message in get_args(union)}


# --- Messages --------------------------------------------------------------------------------------------------------
def render_messages() -> str:
    """Return a table for each group of messages, and what the messages are made of."""
    lines, parts = [], dict[str, inspect.StructType]()
    for title, union in GROUPS:
        lines += [f"#### {title}", "", "| kind | name | what it says | fields |", "|---|---|---|---|"]
        for message in sorted(get_args(union), key=kind_of):
            fields = _fields(inspect.type_info(message), parts)
            lines.append(f"| {kind_of(message)} | {message.__name__} | {_sentence(message)} | {fields} |")
        lines.append("")
    lines += ["#### What they are made of", "", "| name | as JSON | what it is | fields |", "|---|---|---|---|"]
    done: set[str] = set()
    while rest := sorted(parts.keys() - done):
        for name in rest:
            done.add(name)
            info = parts[name]
            form = "list" if info.array_like else "object"
            form += f", tag {info.tag}" if info.tag is not None else ""
            lines.append(f"| {name} | {form} | {_sentence(info.cls)} | {_fields(info, parts)} |")
    retired = [f"| {kind} | {what} |" for kind, what in RETIRED.items() if kind not in kinds()]
    lines += ["", "#### Retired kinds, never given again", "", "| kind | what it was |", "|---|---|", *retired]
    return "\n".join(lines) + "\n"


def _sentence(described: type) -> str:
    """Return the first sentence of a docstring."""
    text = " ".join((described.__doc__ or "").split())
    return _cell(re.split(r"(?<=\.) (?=[A-Z])", text)[0])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _fields(info: Any, parts: dict[str, inspect.StructType]) -> str:
    return "; ".join(
        f"`{field.encode_name}`{'' if field.required else '?'} {_cell(_type(field.type, parts))}"
        for field in info.fields
    )


def _type(info: Any, parts: dict[str, inspect.StructType]) -> str:
    """Return a type in a few words. A `?` after a field's name says that it has a default and may be missing."""
    if isinstance(info, inspect.StructType):
        if not issubclass(info.cls, Message):
            parts[info.cls.__name__] = info
        return info.cls.__name__
    if isinstance(info, inspect.ListType | inspect.VarTupleType):
        cap = "" if info.max_length is None else f" of at most {info.max_length}"
        return f"list{cap} [{_type(info.item_type, parts)}]"
    if isinstance(info, inspect.DictType):
        return f"object {{{_type(info.key_type, parts)}: {_type(info.value_type, parts)}}}"
    if isinstance(info, inspect.UnionType):
        return _union(info, parts)
    return _simple(info)


def _simple(info: Any) -> str:
    """Return a type that is made of no others in a few words."""
    match info:
        case inspect.StrType():
            return _text(info)
        case inspect.BytesType():
            exact = info.min_length == info.max_length and info.max_length is not None
            return f"{info.max_length} bytes" if exact else f"at most {info.max_length} bytes"
        case inspect.IntType():
            return f"int {_bounds(info)}".rstrip()
        case inspect.FloatType():
            return f"number {_bounds(info)}".rstrip()
        case inspect.BoolType():
            return "bool"
        case inspect.NoneType():
            return "null"
        case inspect.EnumType():
            return f"{info.cls.__name__} " + " ".join(f"{member.value}={member.name}" for member in info.cls)
    raise AssertionError(f"no words for {info!r}")


def _union(info: inspect.UnionType, parts: dict[str, inspect.StructType]) -> str:
    groups = {"Operation": operations.Operation, "Outcome": operations.Outcome}
    members = {part.cls for part in info.types if isinstance(part, inspect.StructType)}
    for name, union in groups.items():
        if members == set(get_args(union)):
            return f"an {name} or null"
    return " or ".join(_type(part, parts) for part in info.types)


def _text(info: inspect.StrType) -> str:
    if info.pattern is not None:
        return WORDS.get(info.pattern, f"text `{info.pattern}`")
    least = f"{info.min_length} to " if info.min_length else "at most "
    return "text" if info.max_length is None else f"text of {least}{info.max_length}"


def _bounds(info: Any) -> str:
    low, high = info.ge, info.lt - 1 if info.le is None and info.lt is not None else info.le
    if low is None and high is None:
        return ""
    power = {2**53: "2^53", 2**31: "2^31"}
    return f"{low:g} to {power.get(high) or _number(high)}"


def _number(value: float) -> str:
    """Write a whole number with its thousands apart."""
    return f"{value:,}".removesuffix(".0").replace(",", " ")


# --- Refusals, failures, caps ----------------------------------------------------------------------------------------
def render_refusals() -> str:
    """Return the codes of refusals: whether repeating can help, and what a user reads."""
    lines = ["| code | repeating | text |", "|---|---|---|"]
    for code in RefusalCode:
        lines.append(f"| `{code.value}` | {'is in vain' if code in FINAL_CODES else 'helps'} | {REFUSAL_TEXTS[code]} |")
    failures = ", ".join(f"{code.value} {code.name}" for code in FailureCode)
    return "\n".join(lines) + f"\n\nCodes of a transfer's FAILURE frame: {failures}.\n"


def documented(source: Path) -> Iterator[tuple[str, str, str]]:
    """Yield class, name and docstring of every constant and field of a module that has a docstring under it."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    bodies = [("", tree.body)] + [(node.name, node.body) for node in tree.body if isinstance(node, ast.ClassDef)]
    for owner, body in bodies:
        for node, after in zip(body, [*body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                yield owner, node.target.id, str(after.value.value) if is_text else ""  # type: ignore[union-attr]


def render_caps() -> str:
    """Return the caps of `shared/config.py` with their values and reasons."""
    lines = ["| cap | value | why |", "|---|---|---|"]
    for owner, name, text in documented(Path(config.__file__)):
        if owner == "Limits":
            value: Any = getattr(config.LIMITS, name)
        elif not owner and isinstance(getattr(config, name), int | float):
            value = getattr(config, name)
        else:
            continue
        lines.append(f"| `{name}` | {_number(value)} | {_cell(' '.join(text.split()))} |")
    return "\n".join(lines) + "\n"


def render_timing() -> str:
    """Return the timers of the three presets, in seconds."""
    names = list(config.PRESETS)
    lines = [f"| timer | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for field in config.Timing.__dataclass_fields__:
        values = " | ".join(f"{getattr(preset, field):g}" for preset in config.PRESETS.values())
        lines.append(f"| `{field}` | {values} |")
    return "\n".join(lines) + "\n"


# --- Pages -----------------------------------------------------------------------------------------------------------
PARTS: dict[str, Callable[[], str]] = {
    "messages": render_messages,
    "refusals": render_refusals,
    "caps": render_caps,
    "timers": render_timing,
}
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_parts(page: str) -> str:
    """Return a page with its generated parts as the code has them now."""
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}{found[3]}", page)
