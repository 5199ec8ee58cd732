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

from limner.domain import guidance_names
from limner.domain.model import ModelInfo
from limner.domain.params import Generation
from limner.domain.schedulers import METHOD
from limner.domain.tags import tag
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


def receipt(
    generation: Generation,
    facts: Drawing,
    model: ModelInfo,
    versions: Mapping[str, str],
    prompts: tuple[str, str],
    rgb_sha256: str,
) -> dict[str, Any]:
    """The record of one picture of ``generation``.

    ``prompts`` are the expanded prompt and negative prompt; ``versions`` name the software
    that drew; ``rgb_sha256`` is over the rows of 8-bit RGB. The parameters are those of a
    request for this picture alone: one sample, its own seed.
    """
    alone = generation.model_copy(update={"samples": 1, "seed": facts.seed})
    return {
        "receipt": SCHEMA,
        "parameters": alone.model_dump(mode="json"),
        "prompts": {"positive": prompts[0], "negative": prompts[1]},
        "model": {
            "name": model.name,
            "sha256": model.sha256,
            "vae_sha256": model.vae_sha256,
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


def reading_of(record: Mapping[str, Any]) -> tuple[str | None, str]:
    """The SHA-256 of the text encoder that was named for ``record``, and its ``clip_positions``."""
    model = record.get("model")
    said = model if isinstance(model, Mapping) else {}
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
    model = record.get("model")
    said = model if isinstance(model, Mapping) else {}
    return str(said.get("prediction", "epsilon")), bool(said.get("zero_snr", False))


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


def parameters_text(record: Mapping[str, Any]) -> str:
    """The text block that AUTOMATIC1111 writes into pictures, made from a receipt.

    Prompt, negative prompt, then one line of ``Name: value`` pairs, under that program's names, so
    that other tools can repeat the picture.
    """
    generation = from_receipt(record)
    lines = [record["prompts"]["positive"] + "".join(map(tag, generation.loras))]
    if record["prompts"]["negative"]:
        lines.append(f"Negative prompt: {record['prompts']['negative']}")
    pairs = _pairs(generation, record)
    lines.append(", ".join(f"{name}: {value}" for name, value in pairs.items()))
    return "\n".join(lines)


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


def _pairs(generation: Generation, record: Mapping[str, Any]) -> dict[str, Any]:
    sampler, schedule = generation.method.names
    pairs: dict[str, Any] = {
        "Steps": generation.steps,
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": f"{generation.guidance:g}",
        "Seed": generation.seed,
        "Size": f"{generation.width}x{generation.height}",
        "Model hash": _model_hash(record["model"]),
        "Model": _quoted(record["model"]["name"]),
    }
    pairs |= _options(generation) | guidance_names.pairs_of(generation)
    if generation.clip_skip > 1:
        pairs["Clip skip"] = generation.clip_skip
    if generation.subseed_strength:
        pairs["Variation seed"] = generation.subseed
        pairs["Variation seed strength"] = f"{generation.subseed_strength:g}"
    if generation.source:
        pairs["Denoising strength"] = f"{generation.source.strength:g}"
    if prediction_of(record)[1]:
        pairs["Noise Schedule"] = "Zero Terminal SNR"
    pairs["Version"] = f"limner {record['versions'].get('limner', '')}".strip()
    return pairs


def _options(generation: Generation) -> dict[str, str]:
    """What is set of a sampler's options, under AUTOMATIC1111's names."""
    eta = "Eta DDIM" if generation.sampler == "DDIM" else "Eta"
    names = {"eta": eta, "s_churn": "Sigma churn", "s_tmin": "Sigma tmin"}
    names |= {"s_tmax": "Sigma tmax", "s_noise": "Sigma noise"}
    said = {names[name]: getattr(generation, name) for name in names}
    return {name: f"{value:g}" for name, value in said.items() if value is not None}


def _model_hash(model: Mapping[str, Any]) -> str:
    """Of the author's file, so that model sites know it."""
    return str(model.get("source_sha256") or model["sha256"])[:10]


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if set(value) & set(',:\n"') else value
