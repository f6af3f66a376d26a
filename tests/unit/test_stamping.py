"""Text in the pixels of a picture: there, legible against anything, and no wider than the picture."""

from __future__ import annotations

import pytest
from PIL import Image, ImageChops

from tui.client.widgets.decoding import stamp

TEXT = "Ada · 2027-01-15 08:00:00"


def stamped(size: tuple[int, int], color: str, text: str = TEXT) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """Return a plain picture with the text, and the box of what changed in it."""
    before = Image.new("RGB", size, color)
    after = before.copy()
    stamp(after, text)
    box = ImageChops.difference(before, after).getbbox()
    assert box is not None
    return after, box


@pytest.mark.parametrize("color", ["white", "black", "#808080"])
def test_the_text_stands_over_the_middle_of_the_lower_edge(color: str) -> None:
    image, (left, top, right, bottom) = stamped((1200, 800), color)
    assert abs((left + right) / 2 - 600) < 60
    assert 700 < top < bottom <= 800
    colors = {pixel for _, pixel in image.crop((left, top, right, bottom)).getcolors(1 << 16)}
    assert {(0, 0, 0), (255, 255, 255)} <= colors, "light letters on dark paper, whatever the picture"


@pytest.mark.parametrize("size", [(60, 400), (16, 16), (1, 1), (4000, 500)], ids=str)
def test_it_is_no_wider_than_the_picture_and_leaves_its_size(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, "#808080")
    stamp(image, TEXT)
    assert image.size == size
    assert image.getpixel((0, 0)) == (128, 128, 128) or size[1] < 20


def test_names_in_any_script_and_of_any_length_do_no_harm() -> None:
    for name in ("山の湖", "\N{FAMILY}", "ب", "x" * 500):
        stamped((300, 200), "white", f"{name} · 2027-01-15 08:00:00")
