"""Pictures as bytes: metadata out and in, equal files, and what strangers send."""

import base64
import contextlib
import io
import random
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from limner import imaging
from limner.domain.receipt import receipt_id
from limner.errors import InvalidInput
from limner.imaging import Metadata
from limner.imaging.reading import load_image

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


def bitmap(width, height, bits, body, *, compression=0, palette=b"", masks=b""):
    """A BMP; ``height`` below zero: its rows go down."""
    start = 54 + len(masks) + len(palette)
    head = struct.pack("<2sIII", b"BM", start + len(body), 0, start)
    about = (
        56 if len(masks) == 16 else 40,
        width,
        height,
        1,
        bits,
        compression,
        len(body),
        0,
        0,
        len(palette) // 4,
        0,
    )
    return head + struct.pack("<IiiHHIIiiII", *about) + masks + palette + body


def test_a_bitmap_is_read_in_every_form_that_programs_write():
    noise = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    rgb, grey = Image.fromarray(noise), Image.fromarray(noise[..., 0])
    for image in (rgb, grey, rgb.quantize(16), rgb.quantize(200), grey.convert("1")):
        read = imaging.read_image(saved(image, "BMP"))
        assert np.array_equal(read, np.asarray(image.convert("RGB")))
    plain = Image.merge("RGBA", (*rgb.split(), grey))  # a fourth byte that is said to be nothing
    assert np.array_equal(imaging.read_image(saved(plain, "BMP")), noise)
    down = bitmap(20, -24, 24, noise[..., ::-1].tobytes())
    assert np.array_equal(imaging.read_image(down), noise)


def test_the_transparency_of_a_bitmap_lies_on_white():
    layers = np.random.default_rng(1).integers(0, 256, (16, 16, 4), np.uint8)
    clear = Image.fromarray(layers)
    masks = struct.pack("<IIII", 0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    data = bitmap(16, -16, 32, layers.tobytes(), compression=3, masks=masks)
    white = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    assert np.array_equal(imaging.read_image(data), np.asarray(white))
    assert np.array_equal(imaging.read_mask(data, alpha=True), 255 - layers[..., 3])


def test_a_bitmap_may_be_packed_or_of_16_bits():
    palette = b"".join(bytes((0, 0, 255 - level, 0)) for level in range(256))
    rows = [bytes((12, row, 0, 4, 1, 2, 3, 4, 0, 0)) for row in range(16)]  # a run, then four
    packed = imaging.read_image(
        bitmap(16, 16, 8, b"".join(rows) + b"\0\1", compression=1, palette=palette)
    )
    assert packed[0, :, 0].tolist() == [240] * 12 + [254, 253, 252, 251]
    assert packed[15, 0].tolist() == [255, 0, 0]
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    deep = bitmap(16, 16, 16, struct.pack("<H", 0xF810) * 256, compression=3, masks=masks)
    assert imaging.read_image(deep)[3, 3].tolist() == [255, 0, 131]


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


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_a_file_cut_off_is_told(format):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), format)
    with pytest.raises(InvalidInput, match="mask"):
        imaging.read_image(data[: len(data) // 2], "mask")


TIFF = saved(Image.new("RGB", (20, 20)), "TIFF")


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"<svg/>", b"\x00" * 100, b"BM" + b"\0" * 60, TIFF]
)
def test_no_picture(data):
    with pytest.raises(InvalidInput, match="send PNG, JPEG, WebP, GIF or BMP"):
        imaging.read_image(data)


FILES = st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP"]), st.integers(0, 2**32)


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


# What other tools write.


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def keyed(depth, colour, key, row):
    """A PNG of 16 x 16 with a tRNS chunk, every row the same."""
    head = struct.pack(">IIBBBBB", 16, 16, depth, colour, 0, 0, 0)
    body = zlib.compress((b"\0" + row) * 16)
    chunks = ((b"IHDR", head), (b"tRNS", key), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


# Bits, colour type, the transparent colour, and a row of two colours of which one is it.
KEYED = {
    "grey 1": (1, 0, b"\0\0", b"\x0f\x0f"),
    "grey 2": (2, 0, b"\0\x01", b"\x55\xaa\x55\xaa"),
    "grey 4": (4, 0, b"\0\x05", b"\x55\x55\xaa\xaa" * 2),
    "grey 8": (8, 0, b"\0\x0a", (b"\x0a" * 4 + b"\x0b" * 4) * 2),
    "grey 16": (16, 0, b"\x0b\x0a", (b"\x0b\x0a" * 4 + b"\x0b\x0b" * 4) * 2),
    "colour 8": (8, 2, b"\0\x0a" * 3, (b"\x0a" * 12 + b"\x0b" * 12) * 2),
    "colour 16": (16, 2, b"\x0b\x0a" * 3, (b"\x0b\x0a" * 12 + b"\x0c\x0a" * 12) * 2),
}


@pytest.mark.parametrize("kind", KEYED)
def test_a_transparent_colour_lies_on_white_whatever_its_bits(kind):
    data = keyed(*KEYED[kind])
    pixels, clear = imaging.read_image(data), imaging.read_mask(data, alpha=True)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert (clear[0, 0], clear[0, 4]) == (255, 0)
    assert imaging.read_mask(data)[0, 0] == 0


# An ImageDescription typed as a fraction, beside an orientation of 6.
ODD_TAG = (
    b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + struct.pack("<HHII", 0x010E, 5, 1, 38)
    + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack("<III", 0, 1, 1)
)  # fmt: skip


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    "exif", [b"b'Exif\\x00", b"Exif\0\0junk and more junk", b"MM\0*" + b"\xff" * 40]
)
def test_a_picture_is_read_whatever_its_exif(format, exif):
    data = saved(Image.new("RGB", (40, 20), "red"), format, exif=exif)
    assert imaging.read_image(data).shape == (20, 40, 3)
    assert imaging.read_metadata(data).parameters == ""


def test_exif_that_is_no_exif_is_told():
    data = saved(Image.new("RGB", (40, 20), "red"), "PNG", exif=b"b'Exif\\x00")
    notes = []
    load_image(data, "init_images", notes)
    assert notes == ["init_images: its EXIF cannot be read and was left aside; it was not turned"]
    assert imaging.read_metadata(data).notes == (
        "image: its EXIF cannot be read and was left aside",
    )


def test_one_odd_tag_does_not_keep_a_picture_from_being_turned():
    data = saved(Image.new("RGB", (40, 20), "red"), "JPEG", exif=ODD_TAG)
    assert imaging.read_image(data).shape == (40, 20, 3)


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation_is_pillows(turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    data = saved(Image.fromarray(picture()), "PNG", exif=exif)
    oracle = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(imaging.read_image(data), np.asarray(oracle))


WORDS = "a cat\nNegative prompt: cars\nSteps: 20, Sampler: Euler"
COMMENTS = {
    "UTF-16BE": b"UNICODE\0" + WORDS.encode("utf-16-be"),
    "UTF-16LE": b"UNICODE\0" + WORDS.encode("utf-16-le"),
    "UTF-16 with a mark": b"UNICODE\0" + b"\xfe\xff" + WORDS.encode("utf-16-be"),
    "UTF-16LE with a mark": b"UNICODE\0" + b"\xff\xfe" + WORDS.encode("utf-16-le"),
    "ASCII": b"ASCII\0\0\0" + WORDS.encode() + b"\0\0",
    "undefined": bytes(8) + WORDS.encode(),
    "JIS": b"JIS\0\0\0\0\0" + WORDS.encode("iso2022_jp"),
    "no code": WORDS.encode(),
}


@pytest.mark.parametrize("kind", COMMENTS)
@pytest.mark.parametrize("format", ["JPEG", "WEBP", "PNG"])
def test_the_user_comment_of_any_tool_is_read(kind, format):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = COMMENTS[kind]
    data = saved(Image.new("RGB", (64, 64)), format, exif=exif.tobytes())
    assert imaging.read_metadata(data).parameters == WORDS


def test_the_comment_of_a_gif_is_read():
    data = saved(Image.new("P", (64, 64)), "GIF", comment=WORDS.encode())
    assert imaging.read_metadata(data).parameters == WORDS


def test_our_own_ideographic_words_come_back():
    written = Metadata("\u3000" * 40, None)
    assert imaging.read_metadata(imaging.to_jpeg(picture(), written)) == written


@pytest.mark.parametrize("read", [imaging.read_image, imaging.read_mask, imaging.read_metadata])
def test_a_machine_out_of_memory_is_not_the_pictures_fault(read, monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError

    data = saved(Image.new("RGB", (64, 64)), "PNG")
    for owner, name in (
        (Image, "open"),
        (PngImagePlugin.PngImageFile, "load"),
        (Image.Image, "getexif"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, exhausted)
            with pytest.raises(MemoryError):
                read(data)
