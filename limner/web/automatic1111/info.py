"""What AUTOMATIC1111's answers say beside the pictures, and how its text blocks are read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from limner.domain.pricing import as_credits
from limner.domain.receipt import parameters_text
from limner.errors import InvalidInput
from limner.usecases.drawing.orders import Outcome
from limner.web.answers import dumps
from limner.web.automatic1111.form import PICTURES, Asked, Drawing

_NEGATIVE = "Negative prompt:"
# Names begin where a run of their letters begins: nothing is read twice, however long the text.
_PAIR = re.compile(
    r"(?<![\w /-])[ /-]*+(\w[\w /-]++):\s*+" r'("(?:\\.|[^\\"])++"(?=,|\Z)|[^,]*)(?:,|\Z)',
    re.DOTALL,
)
_SIZE = re.compile(r"(\d+)x(\d+)")
PAIRS_MIN = 3
TEXT_LENGTH_MAX = 1_000_000


def info(asked: Asked, drawn: Outcome | Drawing) -> str:
    """The JSON text ``info``; of a ``Drawing`` where it was interrupted."""
    g, values = drawn.lines[0], asked.values
    name, hash = _model(drawn)
    alone = [line.alone(i) for line in drawn.lines for i in range(line.samples)]
    said: dict[str, Any] = {
        "prompt": g.prompt,
        "all_prompts": [each.prompt for each in alone],
        "negative_prompt": g.negative_prompt,
        "all_negative_prompts": [each.negative_prompt for each in alone],
        "seed": alone[0].seed,
        "all_seeds": [each.seed for each in alone],
        "subseed": alone[0].subseed,
        "all_subseeds": [each.subseed for each in alone],
        "subseed_strength": g.subseed_strength,
        "width": g.width,
        "height": g.height,
        "sampler_name": g.method.names[0],
        "cfg_scale": g.guidance,
        "steps": g.steps,
        "batch_size": values["batch_size"],
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": name,
        "sd_model_hash": hash,
        "denoising_strength": g.source.strength if g.source else None,
        "extra_generation_params": {},
        "index_of_first_image": 0,
        "infotexts": _infotexts(drawn),
        "styles": values["styles"],
        "clip_skip": g.clip_skip,
        "is_using_inpainting_conditioning": False,
    }
    return dumps(said | _ours(drawn))


def _model(drawn: Outcome | Drawing) -> tuple[str | None, str | None]:
    """Name and hash of what drew, or would have drawn."""
    if isinstance(drawn, Drawing):
        card = None if drawn.choice is None else drawn.choice.card
        return (None, None) if card is None else (card.name, card.short_hash)
    model = drawn.pictures[0].receipt["model"]
    return model["name"], (model.get("source_sha256") or model["sha256"])[:10]


def _infotexts(drawn: Outcome | Drawing) -> list[str]:
    pictures = drawn.pictures if isinstance(drawn, Outcome) else ()
    return [parameters_text(picture.receipt) for picture in pictures]


def _ours(drawn: Outcome | Drawing) -> dict[str, Any]:
    """What only Limner tells."""
    if isinstance(drawn, Drawing):
        stopped = "interrupted: nothing was drawn to its end, and nothing was billed"
        return {"adjustments": [*drawn.adjustments, stopped], "cost": 0}
    return {
        "adjustments": list(drawn.adjustments),
        "request_id": drawn.request_id,
        "cost": as_credits(drawn.taken_micro),
        "remaining_credits": as_credits(drawn.remaining_micro),
    }


def parse(text: str) -> dict[str, Any]:
    """The parts of a text block, as AUTOMATIC1111 reads them: prompts, then its pairs by name.

    The last line holds pairs if there are at least three. A size is split into ``Size-1`` and
    ``Size-2``, and so is every other pair of that form. Takes time in proportion to ``text``.

    Raises ``InvalidInput`` for a text longer than ``TEXT_LENGTH_MAX``.
    """
    if len(text) > TEXT_LENGTH_MAX:
        raise InvalidInput(
            "image",
            f"image holds a text of {len(text):,} characters; at most {TEXT_LENGTH_MAX:,} are read",
        )
    *lines, last = text.strip().split("\n")
    pairs = _PAIR.findall(last)
    if len(pairs) < PAIRS_MIN:
        lines, pairs = [*lines, last], []
    prompts: dict[str, list[str]] = {"Prompt": [], "Negative prompt": []}
    part = prompts["Prompt"]
    for line in map(str.strip, lines):
        if line.startswith(_NEGATIVE):
            part, line = prompts["Negative prompt"], line.removeprefix(_NEGATIVE).strip()
        part.append(line)
    read = {key: part for name, value in pairs for key, part in _pair(name, value).items()}
    return {**read, **{name: "\n".join(part).strip() for name, part in prompts.items()}}


def _pair(name: str, value: str) -> dict[str, Any]:
    if size := _SIZE.fullmatch(value):
        return {f"{name}-1": size[1], f"{name}-2": size[2]}
    return {name: _unquoted(value)} if value else {}


def _unquoted(value: str) -> Any:
    if not (value.startswith('"') and value.endswith('"')):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def echo(asked: Asked, body: Mapping[str, Any]) -> dict[str, Any]:
    """``parameters``: the fields after defaults, and pictures only where these were wanted."""
    kept = dict(asked.values)
    if not kept.get("include_init_images"):
        kept |= {name: None for name in PICTURES if name in kept}
    kept |= {name: body[name] for name in ("style_mix", "thresholding") if name in kept}
    return {**{name: value for name, value in body.items() if name not in kept}, **kept}
