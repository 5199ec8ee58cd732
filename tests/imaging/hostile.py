"""Small files that cost much: made here, so that no test carries one."""

import io
import random
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


def wide_png(mode="RGBA", width=8192, height=4880, color=0):
    """A picture of the most pixels that are read, in a few KB."""
    return saved(Image.new(mode, (width, height), color), compress_level=9)


def greedy_png(mebibytes=2000):
    """A profile that unpacks to much more than the picture."""
    data = saved(Image.new("RGB", (64, 64)))
    engine, zeros = zlib.compressobj(9), bytes(2**20)
    packed = b"".join([*(engine.compress(zeros) for _ in range(mebibytes)), engine.flush()])
    body = b"zTXta\0\0" + packed
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


def many_frames(format, frames=40, side=128, **options):
    """An animation of which only the first frame is wanted, each frame a flat picture."""
    made = [Image.new("RGB", (side, side), (n, n, n)).quantize(8) for n in range(frames)]
    return saved(made[0], format, save_all=True, append_images=made[1:], **options)


def bomb_png(side=60_000):
    """A header that claims more pixels than anybody has memory for, and nothing behind it."""
    data = saved(Image.new("1", (64, 64)))
    head = b"IHDR" + struct.pack(">II", side, side) + data[24:29]
    return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]


def long_rows_bmp(side):
    """A packed BMP: a pixel and the end of each row, which Pillow fills up one pixel at a time."""
    body, palette = b"\1\1\0\0" * side + b"\0\1", bytes(range(256)) * 4
    head = struct.pack("<2sIII", b"BM", 0, 0, 54 + len(palette))
    return (
        head
        + struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, 0, 0, 0, 256, 0)
        + palette
        + body
    )


def looping_exif():
    """A JPEG whose EXIF directory names itself as the next one, 4,000 entries each time."""
    entries = struct.pack("<HHII", 0x0112, 3, 1, 6) * 4000
    tiff = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 4000) + entries
    return saved(Image.new("RGB", (64, 64)), "JPEG", exif=b"Exif\0\0" + tiff + struct.pack("<I", 8))


def worst(pixels=40_000_000):
    """By name what has hurt a decoder before, or could, each in some 100 KB; up to ``pixels``."""
    side = int(pixels**0.5) // 8 * 8
    noise = random.Random(1).randbytes(75_000)
    flat = Image.new("RGB", (side, side), "red")
    return {
        "wide": wide_png("RGBA", side, side),
        "grey": wide_png("I;16", side, side),
        "palette": wide_png("P", side, side),
        "bomb": bomb_png(),
        "profile": greedy_png(16),
        "frames of GIF": many_frames("GIF", optimize=False),
        "frames of PNG": many_frames("PNG"),
        "frames of WebP": many_frames("WEBP", lossless=True),
        "comment": endless_gif(48_000),
        "scans": many_scans(900, min(2048, side)),
        "JPEG": saved(Image.new("CMYK", (side, side)), "JPEG", quality=1),
        "cut JPEG": saved(flat, "JPEG", quality=1)[:-200],
        "EXIF": looping_exif(),
        "BMP": long_rows_bmp(side),
        "WebP": saved(flat, "WEBP", lossless=True),
        "cut WebP": saved(flat, "WEBP", quality=1)[:500],
        "AVIF": saved(Image.new("RGB", (side // 8, side // 8)), "AVIF", quality=1, speed=10),
        "noise": noise,
        "noise in PNG": saved(Image.new("RGB", (64, 64)))[:60] + noise,
        "nothing": b"",
    }
