import os
import struct
import threading
import warnings
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageFile

from shared.config import MAX_ORIGINAL_BYTES, MAX_PICTURE_PIXELS, PREVIEW_MAX_BYTES, PREVIEW_MAX_EDGE_PX
from shared.errors import MalformedMessage, UnusableImage
from shared.stego import pictures
from shared.stego.covers import default_cover_png
from shared.stego.pictures import PictureInfo, decode_preview, inspect, make_preview
from tests import photos


def saved(image, file_format, **options):
    out = BytesIO()
    image.save(out, file_format, **options)
    return out.getvalue()


def plain(size=(64, 48), mode="RGB"):
    return Image.new(mode, size)


def chunk(kind, data):
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width, height):
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def frames():
    return [Image.fromarray(np.full((40, 60, 3), shade, dtype=np.uint8)) for shade in (0, 90, 200)]


# --- What is fine ----------------------------------------------------------------------------------------------------
def test_photographs_are_described():
    rocket = photos.photo("rocket.jpg")
    assert inspect(rocket) == PictureInfo("JPEG", 640, 427, 1, len(rocket))
    assert inspect(photos.photo_path("coffee.png")).format == "PNG"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_png(mode):
    data = saved(plain(mode=mode), "PNG")
    info = inspect(data)
    assert (info.format, info.width, info.height) == ("PNG", 64, 48)
    assert decode_preview(make_preview(data)).size == (64, 48)


def test_cmyk_jpeg_and_webp():
    assert inspect(saved(plain(mode="CMYK"), "JPEG")).format == "JPEG"
    assert inspect(saved(plain(mode="RGBA"), "WEBP", lossless=True)).format == "WEBP"
    assert inspect(saved(plain(), "WEBP")).format == "WEBP"


def test_a_persons_own_link_is_followed(tmp_path):
    link = tmp_path / "link.png"
    link.symlink_to(photos.photo_path("coffee.png"))
    assert inspect(link).width == 600


def test_twenty_megapixels_and_eight_to_one_are_the_last_that_pass():
    assert inspect(saved(plain((800, 100)), "PNG")).width == 800
    assert inspect(saved(plain((100, 800)), "PNG")).height == 800
    assert inspect(saved(plain((5_000, 4_000), "L"), "PNG", compress_level=1)).width * 4_000 == MAX_PICTURE_PIXELS


# --- What is not -----------------------------------------------------------------------------------------------------
def truncated(data, share):
    return data[: int(len(data) * share)]


BAD_BYTES = {
    "empty": (b"", "is empty"),
    "text": (b"Dear diary, today I took no picture.\n" * 20, "is not a picture"),
    "signature only": (b"\x89PNG\r\n\x1a\n", "is damaged or cut short"),
    "jpeg marker only": (b"\xff\xd8\xff", "is damaged or cut short"),
    "webp header only": (b"RIFF\x20\0\0\0WEBPVP8 ", "is damaged or cut short"),
    "still gif": (saved(plain(), "GIF"), "is a GIF"),
    "animated gif": (saved(frames()[0], "GIF", save_all=True, append_images=frames()[1:]), "is a GIF"),
    "animated webp": (saved(frames()[0], "WEBP", save_all=True, append_images=frames()[1:]), r"animated \(3 frames\)"),
    "animated png": (saved(frames()[0], "PNG", save_all=True, append_images=frames()[1:]), r"animated \(3 frames\)"),
    "tiff": (saved(plain(), "TIFF"), "is a TIFF"),
    "bmp": (saved(plain(), "BMP"), "is a BMP"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is a PostScript"),
    "too many pixels": (png_header(5_001, 4_000) + chunk(b"IDAT", b"x"), "more than 20 megapixels"),
    "bomb of 81 megapixels": (png_header(9_000, 9_000) + chunk(b"IDAT", b"x"), "more than 20 megapixels"),
    "bomb beyond Pillow's limit": (png_header(60_000, 60_000) + chunk(b"IDAT", b"x"), "more than 20 megapixels"),
    "too long": (saved(plain((801, 100)), "PNG"), "longer than 8 to 1"),
    "too tall": (saved(plain((10, 81)), "PNG"), "longer than 8 to 1"),
    "half a png": (truncated(photos.photo("coffee.png"), 0.5), "is damaged or cut short"),
    "most of a png": (truncated(photos.photo("coffee.png"), 0.98), "is damaged or cut short"),
    "half a jpeg": (truncated(photos.photo("rocket.jpg"), 0.5), "is damaged or cut short"),
    "most of a jpeg": (truncated(photos.photo("rocket.jpg"), 0.98), "is damaged or cut short"),
    "half a webp": (truncated(saved(Image.open(photos.photo_path("coffee.png")), "WEBP"), 0.5), "is damaged or cut"),
    "broken checksum": (bytes([*photos.photo("coffee.png")[:5000], 0, 1, 2]), "is damaged or cut short"),
}


@pytest.mark.parametrize("case", BAD_BYTES)
def test_bad_bytes_are_told_in_one_sentence(case):
    data, text = BAD_BYTES[case]
    with pytest.raises(UnusableImage, match=text) as caught:
        inspect(data)
    assert str(caught.value).startswith("This file ")
    assert str(caught.value).endswith(".")
    with pytest.raises(UnusableImage):
        make_preview(data)


@pytest.mark.parametrize("case", BAD_BYTES)
def test_bad_files_are_told_by_name(case, tmp_path):
    data, text = BAD_BYTES[case]
    path = tmp_path / "holiday.png"
    path.write_bytes(data)
    with pytest.raises(UnusableImage, match=rf"^'holiday\.png' .*{text}"):
        inspect(path)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(UnusableImage, match=r"'no\.png' does not exist; check the path"):
        inspect(tmp_path / "no.png")
    with pytest.raises(UnusableImage, match="is a folder; choose a picture in it"):
        inspect(tmp_path)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UnusableImage, match="does not exist"):
        inspect(tmp_path / "dangling")
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    with pytest.raises(UnusableImage, match="cannot be read"):
        inspect(tmp_path / "ring")
    with pytest.raises(UnusableImage, match="cannot be read"):
        inspect(tmp_path / "nul\0byte")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "secret.png"
    path.write_bytes(saved(plain(), "PNG"))

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(UnusableImage, match="may not be read; change its permissions"):
        inspect(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnusableImage, match="no ordinary file"):
        inspect(tmp_path / "pipe.png")


def test_a_file_of_200_mb_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    monkeypatch.setattr(type(path), "open", lambda *_, **__: pytest.fail("the file was opened"))
    with pytest.raises(UnusableImage, match=r"has 200\.0 MB, more than 11 MB; save it smaller"):
        inspect(path)


def test_too_many_bytes_are_refused_before_they_are_decoded():
    with pytest.raises(UnusableImage, match="more than 11 MB"):
        inspect(photos.photo("rocket.jpg") + bytes(MAX_ORIGINAL_BYTES))


def test_control_characters_of_a_file_name_do_not_reach_the_terminal(tmp_path):
    path = tmp_path / "\x1b[2Jnice.png"
    path.write_bytes(b"no picture")
    with pytest.raises(UnusableImage) as caught:
        inspect(path)
    assert "\x1b" not in str(caught.value)


def test_pillows_tolerance_of_cut_files_is_never_switched_on():
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_warnings_of_pillow_stay_inside():
    """A JPEG whose EXIF data is cut makes Pillow warn; so does a picture beyond 89 megapixels."""
    exif = Image.Exif()
    exif[0x010E] = "a long description " * 20
    data = saved(plain(), "JPEG", exif=exif.tobytes()[:40])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Image.open(BytesIO(data)).getexif()
        assert caught, "this file makes Pillow warn"
        caught.clear()
        inspect(data)
        make_preview(data)
        with pytest.raises(UnusableImage):
            inspect(png_header(10_000, 9_900) + chunk(b"IDAT", b"x"))
        assert caught == []


def test_warning_filters_survive_threads():
    """Filters belong to the process: two threads that exchange them at once can leave the wrong ones behind."""
    before = list(warnings.filters)
    data = photos.small_jpeg()
    threads = [threading.Thread(target=lambda: [inspect(data) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


# --- Previews --------------------------------------------------------------------------------------------------------
def test_previews_are_upright_small_and_bare():
    sample = photos.rotated_jpeg().data
    assert inspect(sample).width < inspect(sample).height, "it lies on its side"
    preview = make_preview(sample)
    image = decode_preview(preview)
    assert image.width > image.height
    assert max(image.size) == PREVIEW_MAX_EDGE_PX
    assert len(preview) <= PREVIEW_MAX_BYTES
    with Image.open(BytesIO(photos.photo("rocket.jpg"))) as original:
        wanted = np.asarray(original.convert("RGB").resize(image.size)).astype(int)
    assert np.abs(np.asarray(image).astype(int) - wanted).mean() < 6


def test_previews_carry_no_metadata():
    exif = Image.Exif()
    exif[0x010E] = "at home"
    image = Image.open(photos.photo_path("rocket.jpg")).convert("RGB")
    data = saved(image, "JPEG", exif=exif, comment=b"my street", icc_profile=b"profile" * 20)
    preview = make_preview(data)
    for text in (b"at home", b"my street", b"profile", b"Exif"):
        assert text in data
        assert text not in preview


def test_transparent_parts_become_white():
    image = decode_preview(make_preview(saved(Image.new("RGBA", (50, 50), (0, 0, 0, 0)), "PNG")))
    assert np.asarray(image).min() > 250


def test_sixteen_bits_become_eight_by_their_upper_half():
    data = saved(Image.fromarray(np.full((20, 20), 0x80FF, dtype=np.uint16)), "PNG")
    assert abs(int(np.asarray(decode_preview(make_preview(data))).mean()) - 0x80) <= 1


def test_noise_still_fits_the_cap():
    random = np.random.default_rng(1)
    data = saved(Image.fromarray(random.integers(0, 256, (400, 400, 3), dtype=np.uint8)), "PNG")
    assert len(make_preview(data)) <= PREVIEW_MAX_BYTES


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no picture",
        b"\xff\xd8\xff",
        saved(plain(), "PNG"),
        saved(plain((161, 20)), "JPEG"),
        saved(plain((160, 160)), "JPEG")[:300],
        photos.photo("rocket.jpg"),
        bytes(PREVIEW_MAX_BYTES + 1),
    ],
    ids=["empty", "text", "marker", "png", "wide", "cut", "large", "too many bytes"],
)
def test_hostile_previews_are_the_other_sides_fault(data):
    with pytest.raises(MalformedMessage):
        decode_preview(data)


def test_the_default_cover_is_a_picture():
    assert inspect(default_cover_png()) == PictureInfo("PNG", 640, 480, 1, len(default_cover_png()))


def test_reading_stops_at_the_cap_although_the_file_grew_meanwhile(tmp_path, monkeypatch):
    path = tmp_path / "growing.png"
    path.write_bytes(bytes(100))
    small = path.stat()
    path.write_bytes(bytes(MAX_ORIGINAL_BYTES + 500))
    monkeypatch.setattr(type(path), "stat", lambda *_, **__: small)
    with pytest.raises(UnusableImage, match="more than 11 MB"):
        pictures.read_picture(path)
