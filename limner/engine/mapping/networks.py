"""The networks of depth and pose that are in memory, and maps made with them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from limner.engine.adapters.keeping import Named, Resident
from limner.engine.batching.ticket import Pixels
from limner.engine.checkpoints import digests
from limner.engine.checkpoints.headers import stamp
from limner.engine.onnx import depths, files, kinds, poses
from limner.errors import CheckpointError
from limner.imaging.preprocessing import Option, pose

FIELD = "preprocessor"
CAPACITY = 512 << 20
"""Bytes of networks that are kept."""
_TRIED = 64  # pixels a side


def _depth(session: files.Session, pixels: Pixels, invert: float) -> Pixels:
    return depths.drawn(session, pixels, invert >= 0.5)


def _pose(session: files.Session, pixels: Pixels, threshold: float) -> Pixels:
    height, width = pixels.shape[:2]
    return pose.draw(poses.found(session, pixels, threshold), width, height)


@dataclass(frozen=True)
class Maker:
    """What a kind of network makes, for people, with options that are numbers."""

    makes: str
    run: Callable[..., Pixels]
    options: Mapping[str, Option]


MAKERS: Mapping[str, Maker] = {
    "depth": Maker("how near it is, the nearest white", _depth, {"invert": Option(0, 0, 1)}),
    "pose": Maker(
        "people's joints, as OpenPose draws them", _pose, {"threshold": Option(0.3, 0, 1)}
    ),
}


@dataclass(frozen=True, eq=False)
class Network:
    """A file of ``kind``, opened and tried once; it makes one map at a time."""

    sha256: str
    kind: str
    session: files.Session
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def bytes(self) -> int:
        """What its weights take."""
        return self.session.bytes

    def make(self, pixels: Pixels, options: Mapping[str, float]) -> Pixels:
        """The map of RGB ``pixels`` (h, w, 3), as large; options not given are their defaults.

        Raises ``CheckpointError`` where it does not run.
        """
        maker = MAKERS[self.kind]
        given = {name: options.get(name, option.default) for name, option in maker.options.items()}
        with self._turn:
            return maker.run(self.session, pixels, **given)


class Networks(Resident[Named, Network]):
    """Those of a library by the SHA-256s of their files, read where they are first asked for."""

    def __init__(self, find: Callable[[str], Path], capacity: int = CAPACITY) -> None:
        super().__init__(FIELD, lambda named: load(find(named.sha256)), capacity)


def load(path: Path) -> Network:
    """The network in the file at ``path``, tried with a small grey picture.

    Raises:
        CheckpointError: as ``files.opened``, and where it makes no maps, or does not run.
    """
    session = files.opened(path)
    before, sha256 = stamp(path), digests.compute(path)
    kind = kinds.kind_of(session.graph)
    if kind not in MAKERS:
        raise CheckpointError(f"{path.name} makes no maps of depth or pose.")
    network = Network(sha256, kind, session)
    network.make(np.full((_TRIED, _TRIED, 3), 128, np.uint8), {})
    if stamp(path) != before:
        raise CheckpointError(f"{path.name} changed while it was read; try again.")
    return network
