"""The text encoder: of a file without one taken from another, and its positions as stored.

CLIP looks up its position embeddings by a buffer of ids, which are 0, 1, 2, ... Merging and
rounding spoil it in many files (75.9975). AUTOMATIC1111 used what a file stored, cut to whole
numbers, so that its pictures of such a file differ from those with the ids as they were meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from limner.engine.checkpoints import folders, raw
from limner.engine.checkpoints.containers import read_header
from limner.engine.checkpoints.headers import Header, TensorInfo
from limner.engine.checkpoints.inspection import DESCRIPTIONS, kind_of
from limner.engine.checkpoints.names import TEXT
from limner.engine.checkpoints.parts import Part
from limner.engine.checkpoints.shapes import text_config
from limner.errors import CheckpointError

_POSITIONS = "embeddings.position_ids"


def of_header(header: Header) -> Part | None:
    """The text encoder of a file; None where it holds none."""
    return Part(text_config(header), (header,)) if header.any(TEXT) else None


def read(path: Path) -> Part:
    """The text encoder in a file, alone or with others, in its own folder, or a whole folder.

    Raises:
        CheckpointError: there is none; the sentence says what a file seems to be.
    """
    if path.is_dir():
        inner = path / "text_encoder"
        folder = inner if (inner / "config.json").is_file() else path
        if not (folder / "config.json").is_file():
            raise CheckpointError(
                f"{path} holds no text encoder: neither config.json nor text_encoder/config.json."
            )
        return folders.read_part(folder, "text_encoder")
    header = read_header(path)
    found = of_header(header)
    if found is None:
        what = DESCRIPTIONS[kind_of(header)]
        raise CheckpointError(f"{path.name} holds no text encoder; it seems to be {what}.")
    return found


def told(part: Part, *, stored: bool) -> Part:
    """The same with its oddities in words; ``stored`` keeps position ids that are out of order.

    Raises:
        CheckpointError: ids that are to be kept name positions that there are not.
    """
    ids = _positions(part)
    if ids is None:
        return replace(part, notes=tuple(_about(part)))
    wrong = sum(number != place for place, number in enumerate(ids))
    if not stored:
        sentence = "stored position ids are not 0, 1, 2, ...; 0, 1, 2, ... are used"
        return replace(part, notes=(sentence, *_about(part)))
    _require_places(part, ids)
    sentence = f"the text encoder's position ids used as stored, {wrong} of {len(ids)} out of order"
    return replace(part, notes=(sentence, *_about(part)), positions=ids)


def _positions(part: Part) -> tuple[int, ...] | None:
    """The stored ids as whole numbers, cut as AUTOMATIC1111 does; None where nothing is wrong."""
    for name, info in part.tensors("text_encoder").items():
        if name.removeprefix("text_model.") == _POSITIONS and 0 < info.count < 1000:
            found = _numbers(info)
            if found is None or found.ravel().tolist() != list(range(info.count)):
                return _whole(found, info.count)
    return None


def _numbers(info: TensorInfo) -> np.ndarray | None:
    return raw.floats(info)


def _whole(found: np.ndarray | None, count: int) -> tuple[int, ...]:
    """-1, which is no position, for what is no number."""
    if found is None:
        return (-1,) * count
    return tuple(np.nan_to_num(np.trunc(found.ravel()), nan=-1, posinf=-1, neginf=-1).astype(int))


def _require_places(part: Part, ids: tuple[int, ...]) -> None:
    places = part.config.get("max_position_embeddings")
    wrong = [number for number in ids if not 0 <= number < len(ids)]
    if len(ids) != places or wrong:
        what = f"{wrong[0]} is among them" if wrong else f"they are {len(ids)}"
        raise CheckpointError(
            f"{part.files[0].name}: the text encoder's stored position ids cannot be used, for "
            f"{what} and it has {places} positions; leave out --clip-positions."
        )


def _about(part: Part) -> Iterator[str]:
    """How one as wide as SD 1.5's differs from it."""
    config = part.config
    layers, positions = config.get("num_hidden_layers"), config.get("max_position_embeddings")
    if config.get("hidden_size") != 768:
        return
    if layers != 12:
        yield f"the text encoder has {layers} layers, Stable Diffusion 1.5's has 12"
    if positions != 77:
        yield f"the text encoder has {positions} positions; prompts are read in 77 at a time"
