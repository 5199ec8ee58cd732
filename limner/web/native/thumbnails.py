"""Small pictures, made once and kept in memory up to a bound."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from limner import imaging

SIDES = (64, 128, 256, 512)  # few, so that a picture has few thumbnails to keep
KEPT_BYTES_MAX = 32 * 2**20


class Name(NamedTuple):
    """Which thumbnail: of which picture, in which format, at most how long and high."""

    picture_id: str
    format: imaging.Format
    side: int


class Thumbnails:
    """The files of thumbnails; what was asked for longest ago goes first.

    On one event loop only. Whoever asks must have seen to it that the caller owns the picture.
    """

    def __init__(self, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._bytes_max, self._bytes = bytes_max, 0
        self._kept: OrderedDict[Name, bytes] = OrderedDict()

    def get(self, name: Name) -> bytes | None:
        """The file, if it is kept."""
        if name in self._kept:
            self._kept.move_to_end(name)
        return self._kept.get(name)

    def put(self, name: Name, data: bytes) -> None:
        """Keep a file, in place of those asked for longest ago."""
        self._bytes += len(data) - len(self._kept.pop(name, b""))
        self._kept[name] = data
        while self._bytes > self._bytes_max:
            self._bytes -= len(self._kept.popitem(last=False)[1])
