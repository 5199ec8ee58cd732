"""Small files that cost much: made here, so that no test carries one."""

import io
import struct
import zlib

from PIL import Image


def saved(image, format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def endless_gif(blocks=3_000_000):
    """A comment of ``blocks`` blocks of a byte: Pillow joins them in quadratic time."""
    data = saved(Image.new("P", (64, 64)), "GIF")
    at = 13 + (3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    return data[:at] + b"\x21\xfe" + b"\x01a" * blocks + b"\0" + data[at:]


def many_scans(scans=4000, side=2048):
    """A flat progressive JPEG whose last scan is repeated, each a walk over all of it."""
    data = saved(Image.new("L", (side, side)), "JPEG", progressive=True, quality=50)
    start = data.rindex(b"\xff\xda")
    return data[:-2] + data[start:-2] * scans + data[-2:]


def wide_png(mode="RGBA", width=8192, height=4880):
    """A picture of the most pixels that are read, in a few KB."""
    return saved(Image.new(mode, (width, height)), compress_level=9)


def greedy_png(mebibytes=2000):
    """A profile that unpacks to much more than the picture."""
    data = saved(Image.new("RGB", (64, 64)))
    engine, zeros = zlib.compressobj(9), bytes(2**20)
    packed = b"".join([*(engine.compress(zeros) for _ in range(mebibytes)), engine.flush()])
    body = b"zTXta\0\0" + packed
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]
