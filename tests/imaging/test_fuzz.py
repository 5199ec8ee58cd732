"""Files made to be odd: sound in their outer form, strange inside. Read, or refused in a sentence.

Random bytes seldom pass a PNG's checksums; here chunks are changed and sealed again, and pictures
of every mode and transparency are the seed.
"""

import contextlib
import io
import random
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from limner import imaging
from limner.errors import InvalidInput

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK")
KINDS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"gAMA", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"tEXt")
SEEDS = st.integers(0, 2**32)


def seed_file(dice):
    mode = dice.choice(MODES)
    levels = np.linspace(0, 255, 40 * 24).reshape(24, 40)
    image = Image.fromarray(levels.astype(np.uint16 if mode == "I;16" else np.uint8))
    image = image if mode == "I;16" else image.convert("RGB").convert(mode)
    options = {}
    if mode in ("P", "L", "1") and dice.random() < 0.5:
        options["transparency"] = dice.randrange(256)
    if mode == "CMYK":
        format = "JPEG"
    elif mode == "P" and dice.random() < 0.4:
        format = "GIF"
    else:
        format = "PNG"
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return format, buffer.getvalue()


def chunks_of(data):
    at, found = 8, []
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        found.append([data[at + 4 : at + 8], bytearray(data[at + 8 : at + 8 + size])])
        at += size + 12
    return found


def sealed(chunks):
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, content in chunks:
        body = kind + bytes(content)
        parts.append(struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body)))
    return b"".join(parts)


def bent(dice, data):
    """A PNG with chunks changed, moved, doubled, left out or made up."""
    chunks = chunks_of(data)
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(chunks))
        action = dice.randrange(5)
        if action == 0 and chunks[place][1]:
            content = chunks[place][1]
            content[dice.randrange(len(content))] = dice.choice((0, 1, 2, 7, 16, 128, 255))
        elif action == 1:
            chunks.insert(dice.randrange(1, len(chunks) + 1), [*chunks[place]])
        elif action == 2:
            made = dice.randbytes(dice.choice((0, 1, 2, 6, 13, 40, 800)))
            chunks.insert(dice.randrange(1, len(chunks) + 1), [dice.choice(KINDS), bytearray(made)])
        elif action == 3 and len(chunks) > 2:
            del chunks[place]
        else:
            plain = dice.randbytes(dice.choice((0, 10, 5000)))
            chunks[place] = [b"IDAT", bytearray(zlib.compress(plain))]
    return sealed(chunks)


def file_of(seed):
    dice = random.Random(seed)
    format, data = seed_file(dice)
    if format == "PNG":
        return bent(dice, data)
    mutable = bytearray(data)
    for _ in range(dice.randint(1, 6)):
        mutable[dice.randrange(6, len(mutable))] = dice.randrange(256)
    return bytes(mutable)


def check(seed):
    data = file_of(seed)
    with contextlib.suppress(InvalidInput):
        pixels = imaging.read_image(data)
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] == 3
    for alpha in (False, True):
        with contextlib.suppress(InvalidInput):
            assert imaging.read_mask(data, alpha=alpha).ndim == 2
    with contextlib.suppress(InvalidInput):
        assert isinstance(imaging.read_metadata(data), imaging.Metadata)


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_odd_files_are_read_or_refused(seed):
    check(seed)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_thousand_odd_files_are_read_or_refused():
    for seed in range(20_000):
        check(seed)


def test_colours_beyond_the_palette_are_refused():
    """Found by the fuzzer: sound to Pillow when it is read, an error when it is converted."""
    with pytest.raises(InvalidInput, match="broken or cut off"):
        imaging.read_image(file_of(10848))


@pytest.mark.parametrize("format", ["PNG", "GIF", "WEBP"])
def test_every_mode_is_read_when_it_is_sound(format):
    for mode in MODES[:6]:
        image = Image.new("RGB", (40, 24), (255, 0, 0)).convert(mode)
        buffer = io.BytesIO()
        image.save(buffer, format)
        assert imaging.read_image(buffer.getvalue()).shape == (24, 40, 3)
