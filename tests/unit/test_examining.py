"""Picture files looked at before they are encrypted, and the folders in which they are looked for."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from shared.config import MAX_ORIGINAL_BYTES
from shared.stego.pictures import examine_picture
from tui.client.examining import examine
from tui.client.folders import counts, listing

GPS = {1: "N", 2: (47.0, 22.0, 12.0), 3: "E", 4: (8.0, 32.0, 30.0)}


def picture(kind: str, size: tuple[int, int] = (64, 48), *, gps: dict[int, object] | None = None, **options) -> bytes:
    out = BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    if gps is not None:
        exif.get_ifd(0x8825).update(gps)
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, kind, exif=exif, **options)
    return out.getvalue()


def says_place(data: bytes) -> bool | None:
    return examine_picture(data, (64, 64))[2]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_place_in_exif_is_found_in_every_format(kind: str) -> None:
    assert says_place(picture(kind, gps=GPS)) is True
    assert says_place(picture(kind)) is False


def test_a_place_in_xmp_is_found() -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description exif:GPSLatitude="47,22.2N"/></x:xmpmeta>'
    assert says_place(picture("JPEG", xmp=packet)) is True
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", packet.decode())
    assert says_place(picture("PNG", pnginfo=info)) is True


def test_an_empty_gps_block_is_no_place() -> None:
    assert says_place(picture("JPEG", gps={29: "2027:01:15"})) is False


def test_metadata_that_does_not_read_is_not_called_free_of_a_place() -> None:
    data = picture("JPEG", gps=GPS)
    # The offset of the GPS block, behind its tag of type LONG and count 1, is made to lead out of the file.
    tag = data.index(bytes.fromhex("8825 0004 00000001"))
    broken = data[: tag + 8] + bytes.fromhex("7fffffff") + data[tag + 12 :]
    assert says_place(broken) is None
    header = data.index(b"Exif\0\0") + 6
    assert says_place(data[:header] + b"??" + data[header + 2 :]) is None


def test_an_examined_picture_is_described_and_small(tmp_path: Path) -> None:
    path = tmp_path / "lake.jpg"
    path.write_bytes(picture("JPEG", (640, 480), gps=GPS))
    found = examine(path, (100, 100))
    assert found.info is not None
    assert (found.info.format, found.info.width, found.info.height) == ("JPEG", 640, 480)
    assert found.image is not None
    assert found.image.size == (100, 75)
    assert found.place is True
    assert not found.trouble


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("none.png", None, "does not exist"),
        ("empty.png", b"", "is empty"),
        ("text.png", b"not a picture", "no"),
        ("large.png", b"\x89PNG\r\n\x1a\n" + bytes(MAX_ORIGINAL_BYTES), "MB"),
        ("cut.png", picture("PNG", (300, 200))[:400], "damaged"),
        ("long.png", picture("PNG", (900, 100)), "8 to 1"),
    ],
)
def test_what_cannot_be_encrypted_is_told_with_the_reason(
    tmp_path: Path, name: str, data: bytes | None, said: str
) -> None:
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    found = examine(path, (100, 100))
    assert said in found.trouble
    assert found.info is None
    assert found.image is None


# --- Folders ---------------------------------------------------------------------------------------------------------
def test_a_folder_lists_folders_and_pictures_only(tmp_path: Path) -> None:
    for name in ("B.png", "a.JPG", "notes.txt", ".secret.webp"):
        (tmp_path / name).write_bytes(b"12345")
    for name in ("zoo", ".git"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    found = listing(tmp_path)
    assert [entry.name for entry in found.entries] == [".git", "zoo", ".secret.webp", "a.JPG", "B.png"]
    assert [entry.name for entry in found.matching("", hidden=False)] == ["zoo", "a.JPG", "B.png"]
    assert [entry.name for entry in found.matching("", hidden=True)] == [entry.name for entry in found.entries]
    assert [entry.name for entry in found.matching(".s", hidden=False)] == [".secret.webp"]
    assert [entry.name for entry in found.matching("PNG", hidden=False)] == ["B.png"]
    assert found.entries[-1].size == 5
    assert counts(found.entries) == (2, 3)
    assert found.complete
    assert not found.trouble


def test_links_count_as_what_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real.png").write_bytes(b"1")
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    (tmp_path / "linked.png").symlink_to(tmp_path / "real.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    found = listing(tmp_path)
    assert [(entry.name, entry.is_folder) for entry in found.entries] == [
        ("folder", True),
        ("real", True),
        ("linked.png", False),
        ("real.png", False),
    ]


def test_a_folder_that_cannot_be_listed_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert "no such folder" in listing(tmp_path / "gone").trouble
    assert "no folder" in listing(tmp_path / "file").trouble
    assert "cannot be read" in listing(Path("/a\0b")).trouble

    def refuse(_folder: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "scandir", refuse)
    assert "may not be read" in listing(tmp_path).trouble


def test_names_beyond_the_cap_are_left_out_and_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes(b"")
    monkeypatch.setattr("tui.client.folders.MAX_ENTRIES", 4)
    found = listing(tmp_path)
    assert len(found.entries) == 4
    assert not found.complete
