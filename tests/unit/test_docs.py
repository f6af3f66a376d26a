"""The documents say what is: links and files are there, commands exist, generated parts and vectors are current."""

import ast
import base64
import importlib.util
import json
import re
from collections.abc import Iterator
from hashlib import shake_256
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from shared.identity import WORDS
from shared.stego import container
from shared.wire.base import Message
from tests.documents import generated, reader, vectors
from tui.cli import glimpse

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "SECURITY.md"])
FILE = re.compile(r"`((?:shared|node|tui|tests|docs|snapshots|\.ci)/[\w./-]*[\w/])`")
LINK = re.compile(r"\]\(<?([^)>#]+)>?(?:#[^)]*)?\)")
COMMAND = re.compile(r"(?:^ {4}|^    .*&& |`|^glimpse )(?=glimpse )(glimpse [^`#\n|&]+)", re.MULTILINE)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


# --- Links, files, commands ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    targets = [target for target in LINK.findall(text_of(page)) if not target.startswith("http")]
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    missing = [name for name in FILE.findall(text_of(page)) if not (ROOT / name).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    text = text_of(page)
    wrong = [name for name in re.findall(r"(?:^ {4}|`)make ([a-z][\w-]*)", text, re.MULTILINE) if name not in targets]
    wrong += [name for name in re.findall(r"python -m (tests[\w.]*)", text) if not has_module(name)]
    wrong += [line for line in COMMAND.findall(text) if not is_command(line)]
    assert not wrong


# --- What is said -----------------------------------------------------------------------------------------------------
def words_of_the_program() -> Iterator[str]:
    """Yield every text in the program, with `…` for what is put into it."""
    for package in ("shared", "node", "tui"):
        for file in (ROOT / package).rglob("*.py"):
            for part in ast.walk(ast.parse(text_of(file))):
                if isinstance(part, ast.JoinedStr):
                    yield "".join(str(piece.value) if isinstance(piece, ast.Constant) else "…" for piece in part.values)
                elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def test_messages_that_are_explained_are_said() -> None:
    """In the page, `…` also stands for the end of a message."""
    rows = re.findall(r"^\| `(.+?)` \|", text_of(DOCS / "troubleshooting.md"), re.MULTILINE)
    assert len(rows) > 40
    said = "\n".join({text.replace("\n", " ") for text in words_of_the_program()})
    unknown = [row for row in rows if not re.search(".*".join(map(re.escape, row.strip("…").strip().split("…"))), said)]
    assert unknown == []


def has_module(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and (spec.submodule_search_locations is None or has_module(f"{name}.__main__"))


def is_command(line: str) -> bool:
    """Return whether a line such as `glimpse up --nodes 3` names a command and options that there are."""
    words = line.split()[1:]
    command: click.Command | None = glimpse
    while isinstance(command, click.Group) and words and not words[0].startswith("-") and words[0] != "COMMAND":
        command = command.get_command(click.Context(command), words.pop(0))
    if command is None:
        return False
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    return all(word.partition("=")[0] in known for word in words if word.startswith("--"))


@pytest.mark.parametrize(
    "line", ["glimpse nothing", "glimpse up --nothing", "glimpse --nothing", "glimpse cluster nothing"]
)
def test_a_command_that_there_is_not_is_found(line: str) -> None:
    assert not is_command(line)


def test_commands_are_found_in_the_pages() -> None:
    assert len(COMMAND.findall(text_of(ROOT / "README.md"))) > 15


# --- The walks of the architecture -----------------------------------------------------------------------------------
def walks() -> Iterator[tuple[str, int, set[str]]]:
    """Yield title, number of files as told, and files of each section of the architecture that says a number."""
    text = text_of(DOCS / "architecture.md")
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        parts = re.split(r"(?=^An object that does not fit)", section, flags=re.MULTILINE)
        for part in parts:
            told = re.search(r"(\d+) files", part)
            if told is not None:
                yield part.partition("\n")[0], int(told[1]), set(FILE.findall(part))


def test_the_walks_have_as_many_files_as_they_say() -> None:
    found = list(walks())
    assert len([title for title, _, _ in found if title.startswith("Walk: ")]) == 4
    assert {title: told for title, told, _ in found} == {title: len(files) for title, _, files in found}


# --- What is generated -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_generated_parts_are_current(page: Path) -> None:
    """`python -m tests.documents` writes them anew."""
    assert generated.with_parts(text_of(page)) == text_of(page)


def test_every_part_is_in_the_protocol() -> None:
    parts = re.findall(r"<!-- generated: (\w+) -->", text_of(DOCS / "protocol.md"))
    assert sorted(parts) == sorted(generated.PARTS)


def test_every_message_is_in_the_table() -> None:
    listed = set(generated.kinds().values())
    defined = {message for message in messages_below(Message) if isinstance(message.__struct_config__.tag, int)}
    assert {message for message in defined if message.__module__.startswith("shared.")} == listed


def messages_below(message: type[Message]) -> Iterator[type[Message]]:
    for below in message.__subclasses__():
        yield below
        yield from messages_below(below)


def test_no_kind_is_given_twice_or_again() -> None:
    every = [kind for _, union in generated.GROUPS for kind in map(generated.kind_of, union.__args__)]
    assert len(every) == len(set(every))
    assert not set(every) & generated.RETIRED.keys()


# --- Test vectors ----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def kept() -> dict[str, object]:
    loaded: dict[str, object] = json.loads(text_of(vectors.VECTORS))
    return loaded


@pytest.fixture(scope="module")
def made() -> tuple[dict[str, object], bytes]:
    return vectors.make()


@pytest.mark.parametrize("part", ["handshake", "datagrams", "transfer", "messages", "rights", "stego"])
def test_vectors_are_what_the_program_makes(kept: dict, made: tuple[dict, bytes], part: str) -> None:
    """`python -m tests.documents` writes them anew; that changes the protocol for every client there is."""
    assert kept[part] == made[0][part]


def test_the_stego_image_is_what_the_program_makes(made: tuple[dict, bytes], tmp_path: Path) -> None:
    """Compared by pixels: compressors of different versions may write different bytes."""
    (tmp_path / "made.png").write_bytes(made[1])
    with Image.open(tmp_path / "made.png") as now, Image.open(vectors.STEGO) as then:
        assert np.array_equal(np.asarray(now), np.asarray(then))


def test_a_reader_from_the_page_alone_opens_the_datagrams(kept: dict) -> None:
    assert reader.exporter_of(kept["handshake"]).hex() == kept["handshake"]["exporter"] == kept["transfer"]["exporter"]
    frames = [reader.open_data(kept["handshake"], step).hex() for step in kept["datagrams"]]
    assert frames == [step["frame"] for step in kept["datagrams"]]
    frames = [reader.open_transfer(kept["transfer"], step).hex() for step in kept["transfer"]["datagrams"]]
    assert frames == [step["frame"] for step in kept["transfer"]["datagrams"]]


def test_the_transfer_shows_every_kind_of_frame_of_an_untroubled_one(kept: dict) -> None:
    assert [step["frame"][:2] for step in kept["transfer"]["datagrams"]] == ["01", "01", "03", "01", "04", "06"]


def test_a_reader_from_the_page_alone_opens_the_picture(kept: dict) -> None:
    rights = kept["rights"]
    key = reader.content_key_of(rights)
    assert key.hex() == rights["content_key"] == reader.own_content_key(rights).hex()
    assert (
        " ".join(WORDS[byte] for byte in reader.fingerprint_start(rights["owner_signing_private"]))
        == (rights["owner_words"])
    )
    text, sealed = reader.open_stego(vectors.STEGO, kept["stego"]["image"])
    assert (text.decode(), sealed.hex()) == (rights["rights_text"], rights["sealed_picture"])
    record = json.loads(rights["record"])
    assert reader.open_picture(key, sealed, record).hex() == rights["original"]
    owner, viewer = rights["owner_session_private"], rights["viewer_session_private"]
    for private, other in ((owner, viewer), (viewer, owner)):
        assert _as_json(reader.open_text(rights["rights_text"], private, other)) == [*record.values()]
    own = json.loads(rights["owner_record"])
    assert _as_json(reader.open_text(rights["owner_rights_text"], owner, owner)) == [*own.values()]


def _as_json(fields: list) -> list:
    """Return packed fields as they stand in the JSON of a record, which leaves out a length of looks that is None."""
    if fields[-2] is None:
        del fields[-2]
    keys = [base64.b64encode(field).decode() if isinstance(field, bytes) else field for field in fields]
    return [
        field.hex() if isinstance(field, bytes) and len(field) == 16 else keys[at] for at, field in enumerate(fields)
    ]


@pytest.mark.parametrize("name", ["strided", "one_bit", "two_bits"])
def test_the_page_still_tells_how_files_of_version_1_are_read(name: str) -> None:
    path = Path(__file__).parent / "stego_version_1" / f"{name}.png"
    record, payload = reader.open_stego(path, bytes(range(16)).hex())
    assert record == b'{"views":5}'
    assert payload == shake_256(b"glimpse").digest(len(payload))


def test_the_program_reads_the_kept_image(kept: dict) -> None:
    png = vectors.STEGO.read_bytes()
    assert container.read_record(png).decode() == kept["rights"]["rights_text"]
    assert (
        container.reveal(png, image_id=bytes.fromhex(kept["stego"]["image"])).hex()
        == (kept["rights"]["sealed_picture"])
    )


def test_the_reader_imports_nothing_of_the_program() -> None:
    tree = ast.parse(text_of(Path(reader.__file__)))
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert not [name for name in names if name.partition(".")[0] in ("shared", "node", "tui", "tests")]
