"""The small pictures that recorded requests send."""

import base64
import io

import numpy as np
from PIL import Image


def _png(pixels, mode):
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode).save(buffer, "PNG")
    return buffer.getvalue()


def _gradient(width=96, height=64):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 2, y * 3, 255 - x - y], axis=-1).astype(np.uint8)


def _mask():
    pixels = np.zeros((64, 96), np.uint8)
    pixels[16:48, 24:72] = 255
    return pixels


def _holed():
    alpha = np.full((64, 96, 1), 255, np.uint8)
    alpha[16:48, 24:72] = 0
    return np.concatenate([_gradient(), alpha], axis=-1)


SOURCE = _png(_gradient(), "RGB")
MASK = _png(_mask(), "L")
BLACK = _png(np.zeros((64, 96), np.uint8), "L")
HOLED = _png(_holed(), "RGBA")
THIN = _png(_gradient(8, 8), "RGB")


def text(picture: bytes) -> str:
    """In base64."""
    return base64.b64encode(picture).decode()


def uri(picture: bytes) -> str:
    """As a data URI."""
    return f"data:image/png;base64,{text(picture)}"
