"""Networks that tell how far away each pixel is: MiDaS, DPT, Depth Anything and their kin."""

from __future__ import annotations

import numpy as np
from PIL import Image

from limner.engine.onnx import pictures
from limner.engine.onnx.files import Session
from limner.engine.onnx.headers import Graph
from limner.engine.onnx.pictures import Pixels
from limner.errors import CheckpointError


def is_one(graph: Graph) -> bool:
    """Whether it makes of a picture one number a pixel: 1 (x 1) x height x width."""
    if not pictures.takes(graph):
        return False
    taken, made = graph.inputs[0].shape, graph.outputs[0].shape
    inner = {3: made[1:], 4: made[2:]}.get(len(made), ())
    if not inner or made[0] not in (1, None) or (len(made) == 4 and made[1] != 1):
        return False
    sides = taken[1:3] if pictures.is_last(graph.inputs[0]) else taken[2:]
    return inner == sides or inner == (None, None)


def drawn(session: Session, pixels: Pixels, invert: bool = False) -> Pixels:
    """RGB (h, w, 3) of the size of ``pixels``: the nearest white, the farthest black.

    Most networks give more to what is nearer; ``invert`` for one that gives distances. What is all
    equally far is black. Raises ``CheckpointError`` where it does not run.
    """
    height, width = pixels.shape[:2]
    port = session.inputs[0]
    fitted = pictures.resized(pixels, *pictures.size(port, width, height))
    made = session.run({port.name: pictures.given(port, fitted, pictures.standard)})[0]
    plane = made.astype(np.float32).squeeze()
    if plane.ndim != 2 or 0 in plane.shape:
        raise CheckpointError(f"{session.path.name} gives no number a pixel.")
    plane = -plane if invert else plane
    low, high = float(plane.min()), float(plane.max())
    levels = (plane - low) * (255 / (high - low)) if high > low else np.zeros_like(plane)
    whole = Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC)
    grey = np.asarray(np.clip(np.round(np.asarray(whole)), 0, 255), np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
