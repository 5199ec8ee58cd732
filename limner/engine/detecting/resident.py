"""Detectors in memory, and the boxes that they find in a picture that is to be drawn on."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from limner.domain.detectors import CLASS_MAX, THRESHOLD, Detector, Found
from limner.domain.parts import Detail
from limner.engine.adapters.keeping import Resident
from limner.engine.batching.ticket import Pixels
from limner.engine.checkpoints import digests
from limner.engine.detecting import boxes
from limner.engine.detecting.boxes import Box, Floats, Letterbox
from limner.engine.onnx import files
from limner.errors import CheckpointError

FIELD = "details.detector"
SIDE, SIDE_MAX = 640, 2_048
"""Pixels a side of what a network is given whose file leaves that open, and the most."""
CAPACITY = 256 << 20
_PIXEL_BYTES = 256  # a small network's layers take some 100 for each pixel that it is given


@dataclass(frozen=True, eq=False)
class Network:
    """A detector's file, opened and tried once. ``side``: height and width of what it is given."""

    sha256: str
    session: files.Session
    side: tuple[int, int]
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bytes(self) -> int:
        return self.session.bytes

    @property
    def held(self) -> int:
        """Bytes that are held while it looks at a picture."""
        return self.bytes + _PIXEL_BYTES * math.prod(self.side)

    def find(self, pixels: Pixels, threshold: float, classes: Sequence[int]) -> list[Box]:
        """All that it sees in RGB ``pixels`` (h, w, 3), overlapping or not; ``classes`` empty: any.

        Raises ``CheckpointError`` where it does not run.
        """
        height, width = pixels.shape[:2]
        letterbox = Letterbox(width, height, self.side)
        corners, scores, kinds = self._run(letterbox.given(pixels))
        sure = (scores >= threshold) & (kinds >= 0) & (kinds <= CLASS_MAX)
        if classes:
            sure &= np.isin(kinds, classes)
        shares = np.round(letterbox.shares(corners), 6)
        sure &= (shares[:, 2:] > shares[:, :2]).all(1)
        rows = zip(shares[sure].tolist(), kinds[sure].tolist(), scores[sure].tolist(), strict=True)
        return [Box(tuple(c), kind, round(min(s, 1.0), 6)) for c, kind, s in rows]

    def _run(self, given: Floats) -> boxes.Rows:
        port = self.session.inputs[0]
        with self.turn:
            made, *more = self.session.run({port.name: given.astype(port.dtype)})
        masks = more[0].shape[1] if more and more[0].ndim == 4 else 0
        try:
            return boxes.read(made, masks)
        except CheckpointError as error:
            raise CheckpointError(f"{self.session.path.name} {error}.") from error


class Detectors(Resident[Detector, Network]):
    """Those of a library, read where they are first asked for; for any thread."""

    def __init__(self, find: Callable[[str], Path], capacity: int = CAPACITY) -> None:
        super().__init__(FIELD, lambda named: load(find(named.sha256)), capacity)

    def details(self, detail: Detail, pixels: Pixels) -> list[Detail]:
        """One for each box that is found for ``detail`` in RGB ``pixels`` (h, w, 3).

        Raises ``InvalidInput`` as ``get``, and ``CheckpointError`` where it does not run.
        """
        named = detail.file
        assert named is not None, "who finds boxes has a file"
        threshold = THRESHOLD if detail.threshold is None else detail.threshold
        network = self.get(named)
        found = network.find(pixels, threshold, detail.classes or ())
        return [
            detail.at(_spans(box), Found(
                detector=named.name, sha256=named.sha256, class_id=box.kind, score=box.score
            ))
            for box in boxes.chosen(found, detail.boxes)
        ]  # fmt: skip


def _spans(box: Box) -> tuple[float, float, float, float]:
    """Left, top, width and height, of which no sum is above 1."""
    left, top, right, bottom = box.corners
    return left, top, min(round(right - left, 6), 1 - left), min(round(bottom - top, 6), 1 - top)


def load(path: Path) -> Network:
    """The detector in the file at ``path``.

    Raises:
        CheckpointError: it cannot be opened, takes no RGB picture, or gives no boxes; the sentence
            names it.
    """
    session = files.opened(path)
    network = Network(digests.compute(path), session, _side(session))
    network.find(np.zeros((*network.side, 3), np.uint8), 1.0, ())
    return network


def _side(session: files.Session) -> tuple[int, int]:
    """Height and width of the pictures that it takes; what a file leaves open is ``SIDE``."""
    name = session.path.name
    if len(session.inputs) != 1:
        raise CheckpointError(f"{name} is no detector: it takes {len(session.inputs)} inputs.")
    port = session.inputs[0]
    shape = "x".join("any" if each is None else str(each) for each in port.shape)
    fits = len(port.shape) == 4 and port.shape[0] in (1, None) and port.shape[1] in (3, None)
    if not fits or port.dtype not in ("float32", "float16"):
        raise CheckpointError(
            f"{name} is no detector: it takes {port.dtype} of {shape}, and a picture is 1x3xHxW."
        )
    height, width = (SIDE if each is None else each for each in port.shape[2:])
    if not min(height, width) >= 32 or max(height, width) > SIDE_MAX:
        raise CheckpointError(
            f"{name} takes pictures of {width}x{height}; a detector's have 32 to {SIDE_MAX} a side."
        )
    return height, width
