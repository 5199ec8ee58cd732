"""The canonical record of one picture, from which it can be drawn again.

A receipt holds no ids, times or durations: equal pictures have equal receipts. Its own id is
the SHA-256 of its canonical JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import ValidationError

from limner.domain.model import Card, ModelInfo
from limner.domain.params import Generation
from limner.domain.parts import Detail
from limner.domain.schedulers import METHOD
from limner.errors import InvalidInput

SCHEMA = 1
PARAMETERS_MAX = 100  # a receipt has some twenty; each wrong one would cost an error of its own


class Drawing(Protocol):
    """What the engine tells about a finished picture (``engine.batching.ticket.Facts``)."""

    @property
    def seed(self) -> int: ...
    @property
    def evaluations(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    @property
    def batch_mode(self) -> str: ...
    @property
    def vae_tile(self) -> int | None: ...
    @property
    def details(self) -> tuple[Detail, ...] | None: ...


def receipt(
    generation: Generation,
    facts: Drawing,
    model: ModelInfo,
    versions: Mapping[str, str],
    prompts: tuple[str, str],
    rgb_sha256: str,
    seam: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """The record of one picture of ``generation``.

    ``prompts`` are the expanded prompt and negative prompt; ``versions`` name the software
    that drew; ``rgb_sha256`` is over the rows of 8-bit RGB; ``seam`` says for each axis how
    well edges meet that are to (``imaging.seams``). The parameters are those of a
    request for this picture alone: one sample, its own seed, and boxes in place of what found them.
    """
    own = {"samples": 1, "seed": facts.seed, "vae_tile": facts.vae_tile}
    found = {} if facts.details is None else {"details": facts.details}
    alone = generation.model_copy(update={**own, **found})
    return {
        "receipt": SCHEMA,
        "parameters": alone.model_dump(mode="json"),
        "prompts": {"positive": prompts[0], "negative": prompts[1]},
        "model": {
            "name": model.name,
            "sha256": model.sha256,
            "vae_sha256": model.vae_sha256,
            **({"vae": model.vae} if model.vae_sha256 else {}),
            **({"source_sha256": model.source_sha256} if model.source_sha256 else {}),
            **_reading(model),
            "licence": model.licence,
            "attribution": list(model.attribution),
            **_predicting(model),
        },
        "drawing": {
            "evaluations": facts.evaluations,
            "rows": facts.rows,
            "dtype": facts.dtype,
            "batch_mode": facts.batch_mode,
            "method": METHOD,
            **({"seam": dict(seam)} if seam else {}),
        },
        "machine": model.machine,
        "versions": dict(versions),
        "rgb_sha256": rgb_sha256,
    }


def _reading(model: ModelInfo) -> dict[str, Any]:
    """By what it reads prompts, where that is not its own text encoder as it was meant.

    ``reading_of`` reads it.
    """
    named = {"text_encoder_sha256": model.text_encoder_sha256} if model.text_encoder_sha256 else {}
    odd = {"clip_positions": "stored"} if model.clip_positions == "stored" else {}
    return named | odd


def model_of(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """What ``record`` says of its model; nothing where it says nothing."""
    model = record.get("model")
    return model if isinstance(model, Mapping) else {}


def reading_of(record: Mapping[str, Any]) -> tuple[str | None, str]:
    """The SHA-256 of the text encoder that was named for ``record``, and its ``clip_positions``."""
    said = model_of(record)
    named = said.get("text_encoder_sha256")
    positions = "stored" if said.get("clip_positions") == "stored" else "counted"
    return None if named is None else str(named), positions


def _predicting(model: ModelInfo) -> dict[str, Any]:
    """How the model was taken to predict, where it is not as most do: nothing, as of old, means so.

    ``prediction_of`` reads it.
    """
    said = {"prediction": model.prediction} if model.prediction != "epsilon" else {}
    return said | ({"zero_snr": True} if model.zero_snr else {})


def prediction_of(record: Mapping[str, Any]) -> tuple[str, bool]:
    """What the model of ``record`` was taken to predict, and whether with zero terminal SNR."""
    said = model_of(record)
    return str(said.get("prediction", "epsilon")), bool(said.get("zero_snr", False))


def taken_alike(record: Mapping[str, Any], model: Card) -> bool:
    """Whether ``model`` is taken to predict, and to read prompts, as that of ``record`` was."""
    predicts = (model.prediction, model.zero_snr) == prediction_of(record)
    return predicts and (model.text_encoder_sha256, model.clip_positions) == reading_of(record)


def canonical(record: Mapping[str, Any]) -> str:
    """The one JSON text of a receipt: sorted keys, no spaces, ASCII only."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)


def receipt_id(record: Mapping[str, Any]) -> str:
    """``sha256:`` and the hex digest of the canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical(record).encode()).hexdigest()


def from_receipt(record: Mapping[str, Any]) -> Generation:
    """The ``Generation`` that draws the picture of ``record`` again.

    Raises ``InvalidInput`` when ``record`` is no receipt, or one of a later schema.
    """
    if record.get("receipt") != SCHEMA:
        raise InvalidInput(
            "receipt",
            f"receipt: schema {record.get('receipt')!r} is unknown; this server reads {SCHEMA}",
        )
    parameters = record.get("parameters")
    if isinstance(parameters, Mapping) and len(parameters) > PARAMETERS_MAX:
        raise InvalidInput(
            "receipt",
            f"receipt: parameters has {len(parameters)} entries; at most {PARAMETERS_MAX} are read",
        )
    try:
        generation = Generation.model_validate(parameters)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["parameters", *map(str, first["loc"])])
        raise InvalidInput("receipt", f"receipt: {where}: {first['msg']}") from error
    if generation.samples != 1:
        raise InvalidInput(
            "receipt",
            f"receipt: parameters.samples is {generation.samples}; a receipt is of one picture",
        )
    return generation


def method_change(record: Mapping[str, Any]) -> str | None:
    """What is sampled otherwise now than when ``record`` was made, if it concerns its picture."""
    drawing = record.get("drawing")
    then = drawing.get("method", 1) if isinstance(drawing, Mapping) else 1
    generation = from_receipt(record)
    source = generation.source
    changed = generation.sampler is None and generation.scheduler in ("LMS", "PNDM")
    if then == METHOD or source is None or not changed:
        return None
    return (
        f"sampling method was {then}, is {METHOD}: since 2, {generation.scheduler} starts from a "
        "picture without leaving noise in it"
    )
