"""Pictures as bytes: metadata out and in, equal files, and what strangers send."""

import base64
import contextlib
import io
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from limner import imaging
from limner.domain.receipt import receipt_id
from limner.errors import InvalidInput
from limner.imaging import Metadata

FORMATS = ["jpeg", "png", "webp"]


def picture(height=32, width=48) -> np.ndarray:
    ramp = np.linspace(0, 255, height * width * 3).reshape(height, width, 3)
    return ramp.astype(np.uint8)


def saved(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


RECEIPT = {"receipt": 1, "parameters": {"prompt": "ein Ritter, 騎士 🐉"}, "n": 2**63}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("text", ["a knight\nSteps: 20", "Drachentöter", "騎士 🐉 (red:1.5)"])
def test_metadata_comes_back(format, text):
    data = imaging.encode(picture(), format, Metadata(text, RECEIPT))
    assert imaging.read_metadata(data) == Metadata(text, RECEIPT)


@pytest.mark.parametrize("format", FORMATS)
def test_opting_out_leaves_nothing(format):
    data = imaging.encode(picture(), format)
    assert imaging.read_metadata(data) == Metadata()
    assert b"limner" not in data.lower()


@pytest.mark.parametrize("format", FORMATS)
def test_equal_pictures_are_equal_files(format):
    metadata = Metadata("x", dict(reversed(RECEIPT.items())))
    assert imaging.encode(picture(), format, metadata) == imaging.encode(
        picture(), format, Metadata("x", RECEIPT)
    )


@pytest.mark.parametrize(("format", "error"), [("png", 0), ("jpeg", 12), ("webp", 24)])
def test_pixels_come_back(format, error):
    back = imaging.read_image(imaging.encode(picture(), format))
    assert np.abs(back.astype(int) - picture()).max() <= error


def test_a_jpeg_names_a_receipt_too_long_for_it():
    long = Metadata("short", RECEIPT | {"prompts": "x" * 70_000})
    fitted = imaging.fit_jpeg(long)
    assert fitted == Metadata("short", {"id": receipt_id(long.receipt)})
    assert imaging.read_metadata(imaging.to_jpeg(picture(), long)) == fitted
    assert imaging.read_metadata(imaging.to_webp(picture(), long)) == long
    assert imaging.read_metadata(imaging.to_png(picture(), long)) == long


def test_a_jpeg_whose_parameters_are_too_long_keeps_the_id():
    long = Metadata("🐉" * 20_000, RECEIPT)
    assert imaging.read_metadata(imaging.to_jpeg(picture(), long)) == Metadata(
        "", {"id": receipt_id(RECEIPT)}
    )


def test_what_fits_is_left_alone():
    metadata = Metadata("x", RECEIPT)
    assert imaging.fit_jpeg(metadata) is metadata


@pytest.mark.parametrize(
    ("count", "shape"), [(1, (32, 48, 3)), (2, (32, 96, 3)), (3, (64, 96, 3)), (4, (64, 96, 3))]
)
def test_grid(count, shape):
    parts = [np.full((32, 48, 3), 10 * (index + 1), np.uint8) for index in range(count)]
    sheet = imaging.grid(parts)
    assert sheet.shape == shape
    assert sheet[0, -1, 0] == 10 * min(count, 2)
    assert sheet[-1, 0, 0] == (30 if count > 2 else 10)


def test_orientation_follows_exif():
    image = Image.new("RGB", (40, 20), "red")
    image.paste((0, 0, 255), (0, 0, 20, 20))  # left half blue
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    turned = imaging.read_image(saved(image, "JPEG", exif=exif, quality=95))
    assert turned.shape == (40, 20, 3)
    assert turned[5, 10, 2] > 200 > 60 > turned[35, 10, 2]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_on_white(mode):
    image = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 10, 20))
    data = saved(image.quantize(4) if mode == "P" else image.convert(mode), "PNG")
    pixels = imaging.read_image(data)
    assert pixels[5, 5].tolist() == [0, 0, 0]
    assert pixels[5, 15].tolist() == [255, 255, 255]


def test_sixteen_bits_become_eight():
    ramp = np.linspace(0, 65535, 400, dtype=np.uint16).reshape(20, 20)
    pixels = imaging.read_image(saved(Image.fromarray(ramp), "PNG"))
    assert np.array_equal(pixels[..., 0], ramp >> 8)


def test_cmyk_becomes_rgb():
    pixels = imaging.read_image(saved(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG"))
    red, green, blue = pixels[10, 10].astype(int)
    assert red > 240
    assert green < 15 > blue


def test_the_first_frame_of_an_animation():
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("lime", "red")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert imaging.read_image(data)[5, 5].tolist() == [0, 255, 0]


def test_masks():
    image = Image.new("RGBA", (20, 20), (255, 255, 255, 255))
    image.paste((0, 0, 0, 255), (0, 0, 10, 20))
    image.paste((255, 255, 255, 0), (0, 10, 20, 20))
    data = saved(image, "PNG")
    mask, alpha = imaging.read_mask(data), imaging.read_mask(data, alpha=True)
    assert (mask[5, 15], mask[5, 5], mask[15, 15]) == (255, 0, 0)
    assert (alpha[5, 15], alpha[5, 5], alpha[15, 15]) == (0, 0, 255)


@pytest.mark.parametrize(
    ("size", "sentence"),
    [((1, 1), "image is 1x1; each side must be 16 to 8192 pixels"),
     ((20000, 1), "image is 20000x1; each side"),
     ((1024, 32), "image is 1024x32; one side may be at most 16 times the other"),
     ((8000, 6000), "image is 8000x6000; at most 40,000,000 pixels")],
)  # fmt: skip
def test_sizes_out_of_bounds(size, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        imaging.read_image(saved(Image.new("L", size), "PNG"))


def test_a_bomb_is_refused_by_its_header():
    data = bytearray(saved(Image.new("1", (16, 16)), "GIF"))
    data[6:10] = b"\xff\xff\xff\xff"  # 65535 x 65535
    with pytest.raises(InvalidInput, match="pixels"):
        imaging.read_image(bytes(data))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_file_cut_off_is_told(format):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), format)
    with pytest.raises(InvalidInput, match="mask"):
        imaging.read_image(data[: len(data) // 2], "mask")


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg/>", b"\x00" * 100, b"BM" + b"\0" * 60])
def test_no_picture(data):
    with pytest.raises(InvalidInput, match="send PNG, JPEG, WebP or GIF"):
        imaging.read_image(data)


FILES = st.sampled_from(["PNG", "JPEG", "WEBP", "GIF"]), st.integers(0, 2**32)


@settings(max_examples=60, deadline=None)
@given(*FILES)
def test_mutated_files_are_read_or_refused(format, seed):
    check_mutated(format, seed)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(*FILES)
def test_two_thousand_mutated_files_are_read_or_refused(format, seed):
    check_mutated(format, seed)


def check_mutated(format, seed):
    """Some bytes replaced, and in half of the files a piece cut out or repeated."""
    rng = random.Random(seed)
    data = bytearray(saved(Image.fromarray(picture()), format))
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    if rng.random() < 0.5:
        start = rng.randrange(len(data))
        data[start : start + rng.randrange(64)] = data[:: rng.randint(1, 9)][: rng.randrange(64)]
    with contextlib.suppress(InvalidInput):
        assert imaging.read_image(bytes(data)).ndim == 3
    with contextlib.suppress(InvalidInput):
        assert isinstance(imaging.read_metadata(bytes(data)), Metadata)


@pytest.mark.parametrize(
    "wrap",
    [lambda t: t, lambda t: "data:image/png;base64," + t, lambda t: t.rstrip("="),
     lambda t: "\n ".join(t), lambda t: t.replace("+", "-").replace("/", "_"),
     lambda t: " data:application/octet-stream;charset=utf-8;base64," + t,
     lambda t: "data:;base64," + t, lambda t: "DATA:image/PNG;BASE64," + t],
)  # fmt: skip
def test_base64_in_its_forms(wrap):
    data = bytes(range(256))
    assert imaging.parse_base64(wrap(base64.b64encode(data).decode())) == data


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("", "image is empty"), ("data:image/png;base64,", "image is empty"), ("ä§", "no base64"),
     ("a", "no base64"), ("data:image/png,abc", "form data:image/png;base64"),
     ("http://example.com/a.png", "no base64"), ("QUJ=D", "no base64")],
)  # fmt: skip
def test_what_is_no_base64(text, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        imaging.parse_base64(text)
