"""What AUTOMATIC1111's answers say beside the pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.domain.infotext.writing import model_hash, parameters_text
from limner.domain.pricing import as_credits
from limner.domain.tags import tagged
from limner.usecases.drawing.orders import Outcome
from limner.web.answers import dumps
from limner.web.automatic1111.form import PICTURES, Asked, Drawing


def info(asked: Asked, drawn: Outcome | Drawing) -> str:
    """The JSON text ``info``; of a ``Drawing`` where it was interrupted."""
    g, values = drawn.lines[0], asked.values
    alone = [line.alone(i) for line in drawn.lines for i in range(line.samples)]
    said: dict[str, Any] = {
        "prompt": tagged(g.prompt, g.loras),
        "all_prompts": [tagged(each.prompt, each.loras) for each in alone],
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
        **_model(drawn),
        "denoising_strength": g.source.strength if g.source else None,
        "extra_generation_params": {},
        "index_of_first_image": 0,
        "infotexts": _infotexts(drawn),
        "styles": values["styles"],
        "clip_skip": g.clip_skip,
        "is_using_inpainting_conditioning": False,
    }
    return dumps(said | _ours(drawn))


def _model(drawn: Outcome | Drawing) -> dict[str, str | None]:
    """Names and hashes of what drew, or would have drawn; no VAE where it is the model's own."""
    model: Mapping[str, Any] = {}
    if isinstance(drawn, Outcome):
        model = drawn.pictures[0].receipt["model"]
    elif drawn.choice is not None:
        model = drawn.choice.card.as_dict()
    sha256 = model.get("vae_sha256")
    return {
        "sd_model_name": model.get("name"),
        "sd_model_hash": model_hash(model) if model else None,
        "sd_vae_name": model["vae"] if sha256 else None,
        "sd_vae_hash": sha256[:10] if sha256 else None,
    }


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


def echo(asked: Asked, body: Mapping[str, Any]) -> dict[str, Any]:
    """``parameters``: the fields after defaults, and pictures only where these were wanted."""
    kept = dict(asked.values)
    if not kept.get("include_init_images"):
        kept |= {name: None for name in PICTURES if name in kept}
    kept |= {name: body[name] for name in ("style_mix", "thresholding", "regions") if name in kept}
    return {**{name: value for name, value in body.items() if name not in kept}, **kept}
