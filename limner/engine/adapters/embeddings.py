"""Embeddings out of their files: the vectors that stand in the places of a prompt's words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from limner.domain.embeddings import Embedding
from limner.engine.checkpoints import digests, pictured
from limner.engine.checkpoints.adapters import embedding_of
from limner.engine.checkpoints.containers import read_header, require_unchanged
from limner.engine.checkpoints.tensors import is_finite
from limner.engine.checkpoints.tensors import read as read_tensor
from limner.errors import CheckpointError, InvalidInput

FIELD = "prompt"


def read(path: Path, name: str = "") -> Tensor:
    """The vectors in a file, (n, width) float32; ``name``: which, of several that a LoRA brings.

    Raises:
        CheckpointError: the file is gone, damaged, no embedding or one for SDXL, or holds numbers
            that are not finite.
    """
    header = read_header(path)
    info = embedding_of(header, name)
    if pictured.is_picture(path):
        found = torch.tensor(pictured.numbers(path), dtype=torch.float32)
    else:
        found = read_tensor(info).float()
    require_unchanged(header)
    if not is_finite(found):
        raise CheckpointError(f"{path.name}: {info.name!r} holds values that are not finite.")
    return found.reshape(-1, found.shape[-1])


def bound(embedding: Embedding, find: Callable[[str], Path], width: int) -> Tensor:
    """The vectors of an embedding that a request was bound to, for an encoder of this width.

    Raises:
        InvalidInput: of ``prompt``: its file is gone, changed, or cannot be used with this model.
    """
    name = embedding.name
    try:
        path = find(embedding.sha256)
        made, sha256 = read(path, name), digests.compute(path)
    except CheckpointError as error:
        raise InvalidInput(FIELD, f"{FIELD}: the embedding {name!r}: {error}") from error
    if sha256 != embedding.sha256 or len(made) != embedding.vectors:
        raise InvalidInput(
            FIELD,
            f"{FIELD}: the file of the embedding {name!r} has changed since it was chosen; send "
            "the request again to draw with the new one",
        )
    if made.shape[1] != width:
        raise InvalidInput(
            FIELD,
            f"{FIELD}: the embedding {name!r} has vectors of {made.shape[1]:,} numbers; this "
            f"model reads {width:,}",
        )
    return made
