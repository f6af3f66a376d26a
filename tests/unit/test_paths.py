"""Paths as people type, paste and drop them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.text import clean, is_clean
from tui.client import paths

HOME = Path("/home/ada")
HERE = Path("/home/ada/here")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/home/ada/lake.jpg", "/home/ada/lake.jpg"),
        ("  /home/ada/lake.jpg \n", "/home/ada/lake.jpg"),
        ("\n\n/home/ada/lake.jpg\n/home/ada/hill.jpg\n", "/home/ada/lake.jpg"),
        ("/home/ada/My lake.jpg", "/home/ada/My lake.jpg"),
        ("'/home/ada/My lake.jpg' ", "/home/ada/My lake.jpg"),
        ('"/home/ada/My lake.jpg"', "/home/ada/My lake.jpg"),
        ("'/home/ada/lake.jpg' '/home/ada/hill.jpg'", "/home/ada/lake.jpg"),
        ("'/home/ada/Ada'\\''s lake.jpg'", "/home/ada/Ada's lake.jpg"),
        ("/home/ada/My\\ lake\\ \\(2\\).jpg", "/home/ada/My lake (2).jpg"),
        ("/home/ada/Ada's lake.jpg", "/home/ada/Ada's lake.jpg"),
        ("'/home/ada/half open", "'/home/ada/half open"),
        ("file:///home/ada/My%20lake.jpg", "/home/ada/My lake.jpg"),
        ("file://localhost/home/ada/lake.jpg\r\n", "/home/ada/lake.jpg"),
        ("file:///home/ada/%C3%A9t%C3%A9.jpg", "/home/ada/été.jpg"),
        ("FILE:///home/ada/lake.jpg file:///home/ada/hill.jpg", "/home/ada/lake.jpg"),
        ("file://elsewhere/home/ada/lake.jpg", ""),
        ("file://[broken/lake.jpg", ""),
        ("~/lake.jpg", "~/lake.jpg"),
        ("", ""),
        (" \n \t\n", ""),
        ("''", ""),
        ("/home/ada/\x1b[31mlake.jpg", ""),
        ("file:///home/ada/%1b%5b31mlake.jpg", ""),
        ("/home/ada/\u202egpj.ekal", ""),
        ("/" + "a" * 5000, ""),
    ],
)
def test_a_pasted_path_is_read_as_terminals_and_file_managers_write_it(text: str, path: str) -> None:
    assert paths.pasted(text) == path


@given(st.text())
def test_whatever_is_pasted_gives_a_clean_line(text: str) -> None:
    assert is_clean(paths.pasted(text))


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40))
def test_every_clean_name_survives_a_quoted_paste(name: str) -> None:
    import shlex

    path = f"/folder/{name}"
    assert paths.pasted(shlex.quote(path)) == path


@pytest.mark.parametrize(("text", "expected"), [("/a", True), ("~/a", True), ("~", True), ("~b", False), ("a", False)])
def test_a_path_from_the_root_or_home_is_told_from_a_word(text: str, expected: bool) -> None:
    assert paths.is_path(text) is expected


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("", "")),
        ("lake", ("", "lake")),
        ("~", ("~", "")),
        ("~/", ("~/", "")),
        ("/", ("/", "")),
        ("/home/ada/la", ("/home/ada/", "la")),
        ("../la", ("../", "la")),
    ],
)
def test_a_path_being_typed_has_folder_and_fragment(text: str, parts: tuple[str, str]) -> None:
    assert paths.split(text) == parts


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", "/home/ada/here"),
        ("~", "/home/ada"),
        ("~/Pictures/", "/home/ada/Pictures"),
        ("~bob/x", "/home/ada/here/~bob/x"),
        ("/etc/", "/etc"),
        ("../x", "/home/ada/x"),
        ("./x//y", "/home/ada/here/x/y"),
        ("/../../x", "/x"),
    ],
)
def test_a_text_means_a_path(text: str, path: str) -> None:
    assert paths.expanded(text, home=HOME, here=HERE) == Path(path)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/home/ada", "~"),
        ("/home/ada/Pictures/lake.jpg", "~/Pictures/lake.jpg"),
        ("/home/adam/lake.jpg", "/home/adam/lake.jpg"),
        ("/etc", "/etc"),
        ("/home/ada/a\x1bb", "~/a\ufffdb"),
        ("/home/ada/a\udcffb", "~/a\ufffdb"),
    ],
)
def test_a_path_is_shown_short_and_harmless(path: str, text: str) -> None:
    assert paths.shown(Path(path), home=HOME) == text


def test_a_shown_folder_ends_with_its_slash() -> None:
    assert paths.shown_folder(Path("/"), home=HOME) == "/"
    assert paths.shown_folder(HOME, home=HOME) == "~/"
    assert paths.shown_folder(HOME / "x", home=HOME) == "~/x/"


def test_the_root_as_home_is_not_written_as_a_tilde_before_everything() -> None:
    assert paths.shown(Path("/etc/x"), home=Path("/")) == "/etc/x"


@given(
    st.lists(
        st.text(st.characters(exclude_characters="/\0", exclude_categories=["C"]), min_size=1).filter(is_clean),
        max_size=4,
    )
)
def test_what_is_shown_of_a_clean_path_means_that_path(names: list[str]) -> None:
    path = paths.expanded("/home/" + "/".join(names), home=HOME, here=HERE)
    assume(clean(str(path)) == str(path))  # of accents that are heaped on one letter some are not shown
    assert paths.expanded(paths.shown(path, home=HOME), home=HOME, here=HERE) == path


@pytest.mark.parametrize(
    ("fragment", "names", "result"),
    [
        ("la", ["lake.jpg", "hill.jpg"], "lake.jpg"),
        ("la", ["lake.jpg", "lake-2.jpg"], "lake"),
        ("LA", ["lake.jpg", "lake-2.jpg"], "lake"),
        ("IMG", ["img_1.png", "IMG_2.png"], "IMG_2.png"),
        ("x", ["lake.jpg"], "x"),
        ("", ["ab", "ac"], "a"),
        ("", [], ""),
        ("a", ["Ab", "aB"], "aB"),
        ("st", ["STRASSE", "Straße"], "st"),
    ],
)
def test_a_fragment_is_completed_by_what_the_names_have_in_common(fragment: str, names: list[str], result: str) -> None:
    completed = paths.completed(fragment, names)
    assert completed == result


@pytest.mark.parametrize(
    ("name", "picture"),
    [("a.JPG", True), ("a.jpeg", True), ("a.png", True), ("a.WebP", True), ("a.gif", False), ("png", False)],
)
def test_pictures_are_known_by_their_name(name: str, picture: bool) -> None:
    assert paths.is_picture_name(name) is picture
