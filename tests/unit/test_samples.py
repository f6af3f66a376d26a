from io import BytesIO

import pytest
from PIL import Image

from shared.errors import UserError
from shared.stego.pictures import inspect
from tui.commands import samples


def test_the_three_samples_are_what_they_promise():
    rotated, transparent, large = samples.samples()
    with Image.open(BytesIO(rotated.data)) as image:
        assert image.getexif()[0x0112] == 6
    assert inspect(rotated.data).format == "JPEG"
    with Image.open(BytesIO(transparent.data)) as image:
        assert image.mode == "RGBA"
    info = inspect(large.data)
    assert info.width * info.height == 12_000_000
    assert 3_500_000 < info.bytes < 4_500_000
    assert len({sample.name for sample in samples.samples()}) == 3


def test_samples_are_the_same_every_time():
    assert samples.large_jpeg() == samples.large_jpeg()


def test_without_the_wheel_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(samples, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="extra `photos`"):
        samples.samples()


def test_a_photograph_that_the_wheel_does_not_have():
    with pytest.raises(UserError, match=r"nothing\.png is not installed"):
        samples.photo("nothing.png")
