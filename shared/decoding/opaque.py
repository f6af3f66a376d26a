"""Pictures of every mode as three channels of 8 bits. Without numpy, which a decoding child does not import."""

from PIL import Image


def opaque(image: Image.Image) -> Image.Image:
    """Return a picture in three channels of 8 bits; what is transparent becomes white."""
    if image.mode.startswith("I;16"):
        upper = image.tobytes()[0 if image.mode.endswith("B") else 1 :: 2]
        return Image.frombytes("L", image.size, upper).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    solid = image.convert("RGBA")
    white = Image.new("RGBA", solid.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, solid).convert("RGB")
