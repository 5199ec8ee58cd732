"""The OpenAPI document's parts that cannot be read off the handlers: bodies, answers, headers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from limner.domain.sampler_names import SAMPLER_NAMES, SCHEDULE_NAMES
from limner.domain.schedulers import SCHEDULER_NAMES
from limner.web.reading import form as wire

Schema = dict[str, Any]

_ABOUT: Mapping[str, str] = {
    "prompt": "What to draw, in AUTOMATIC1111's prompt language.",
    "negative_prompt": "What to keep out of the picture.",
    "scheduler": "Sampling method: " + ", ".join(SCHEDULER_NAMES) + ". Case, spaces, `_` and `-` "
    "do not matter. An unknown name is replaced by UniPC and reported.",
    "sampler": "In place of `scheduler`: AUTOMATIC1111's name, as k-diffusion computes it: "
    + ", ".join(SAMPLER_NAMES)
    + ". Also joined with a schedule: `DPM++ 2M Karras`.",
    "schedule": "Levels of noise for `sampler`: Automatic, "
    + ", ".join(SCHEDULE_NAMES)
    + ". Automatic, or none, is AUTOMATIC1111's choice for the sampler.",
    "eta": "How much noise `sampler` draws anew at each step, where it does: 1, of DDIM 0.",
    "s_churn": "Noise added before each step of Euler, Heun and DPM2.",
    "s_noise": "Factor of the noise that `sampler` adds; 1.",
    "s_tmin": "Least level of noise at which `s_churn` acts.",
    "s_tmax": "Most level of noise at which `s_churn` acts.",
    "num_inference_steps": "Steps of the sampler. Alias: `steps`.",
    "guidance_scale": "How closely the picture follows the prompt.",
    "guidance_start": "Share of the steps before which guidance is 1, without the row for "
    "`negative_prompt`, which costs nothing then.",
    "guidance_end": "Share of the steps after which guidance is 1.",
    "guidance_rescale": "How much of the spread that guidance adds is taken back, as diffusers "
    "does: against colours that are too strong.",
    "thresholding": "Dynamic thresholding: bring the guided estimate to the spread of a milder "
    "guidance, `mimic_scale`. A number stands for that alone.",
    "samples": "Number of pictures; all come with `base64`, `output` grid or "
    "`Accept: multipart/mixed`.",
    "seed": "Start of the noise; -1 takes a random one. Picture i has seed + i.",
    "img_width": "Pixels. Alias: `width`.",
    "img_height": "Pixels. Alias: `height`.",
    "base64": "Answer in JSON, with the picture as base64.",
    "image": "Picture to start from: base64, a data URI, or a URL. Alias: `imageUrl`.",
    "mask": "White is repainted, black is kept. Acts with `image`. Alias: `maskUrl`.",
    "strength": "How far to go from `image`: 0 keeps it, 1 forgets it.",
    "resize_mode": "How `image` is brought to size.",
    "mask_blur": "Pixels by which the mask's edge is softened when composing.",
    "mask_fill": "What the masked part starts from: the `original`, colours from around it "
    "(`fill`), `noise`, or `nothing`.",
    "only_masked": "Draw the masked part alone, at `img_width` x `img_height`; the picture keeps "
    "its own size.",
    "mask_padding": "With `only_masked`: pixels of the picture round the mask that are drawn too.",
    "output": "`grid` puts all samples into one picture; `sprite` gives the small pixels of a "
    "model that paints sprites, as PNG.",
    "output_format": "File format of the pictures.",
    "metadata": "Write parameters and receipt into the file.",
    "exact": "Draw in a forward pass of its own: bit-identical whatever else the server does.",
    "noise_source": "`philox` is the same on every device; `torch-cpu` matches diffusers.",
    "clip_skip": "Layers of the text encoder to leave out, plus one.",
    "subseed": "Seed of the variation noise; -1 takes a random one.",
    "subseed_strength": "How much of the variation noise to mix in.",
    "eta_noise_seed_delta": "Added to the seed of the noise that the sampler draws on its way.",
    "style_mix": "Phrases of the style catalogue round the prompt; see `GET /api/styles`.",
    "template": "Fill in `{a|b}` and `__wildcard__`, drawn from the seed.",
    "loras": "LoRAs of the library by `name` or `sha256`, each with its strengths `unet` and "
    "`text_encoder`; on from the share `start` of the evaluations to `end`.",
    "controls": "ControlNets and T2I-Adapters of the library by `name` or `sha256`, each with the "
    "`image` that its map is made of or `pose`, `preprocessor`, `weight`, `start`, `end`, `mode`.",
    "return_control": "With `base64`: answer the maps of `controls` too, as PNG.",
    "hires": "A second, larger pass: `scale` or `width` and `height`, `upscaler`, `steps`, "
    "`strength`, and whatever else differs from the first.",
    "sd_upscale": "`image` made larger by `scale` and `upscaler`, and drawn over in tiles of "
    "`tile_width` x `tile_height` that overlap by `overlap` pixels.",
    "details": "Boxes of the finished picture that are drawn once more, larger: each `box` in "
    "shares of the picture, or those that a `detector` of the library finds, `max` at most, with "
    "`prompt`, `strength` and whatever else differs.",
    "regions": "Prompts of their own for parts of the picture: each `prompt` with its `box` in "
    "shares of the picture, or a `mask` that is white there, and a `weight`.",
    "tiling": "Which edges meet, so that the picture can be laid out again and again: `x` left and "
    "right, `y` top and bottom, `xy` both.",
    "tiling_start": "Share of the steps before which the UNet lets no edges meet.",
    "tiling_end": "Share of the steps after which it lets none meet any more.",
    "model": "Checkpoint to draw with: a name of `GET /api/models`, or a SHA-256. Default: the "
    "server's own.",
    "vae": "VAE to decode with, named alike. Default: the checkpoint's own.",
    "preset": "Steps and guidance for an easy, medium or hard prompt, where absent.",
    "scale": "Size of the picture on the canvas, as a multiple of its own.",
    "offset_x": "Pixels from the canvas's left edge to the picture.",
    "offset_y": "Pixels from the canvas's top edge to the picture.",
    "mask_expand": "Pixels of the picture's border that are repainted too.",
}
_SETTINGS: Mapping[str, Any] = {"base64": False, "metadata": True}
ERROR: Schema = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
}
_CREDITS: Schema = {"type": "number", "description": "Credits, a plain decimal."}
ERRORS: Mapping[int, str] = {
    400: "A field is missing, malformed or out of range.",
    401: "No key, or not a good one.",
    403: "The key may not do this, or has not accepted the model's licence.",
    404: "There is no such request or picture, or not for this key.",
    406: "Wrong content type, or too little credit.",
    410: "It has expired.",
    413: "The body is too large.",
    415: "The body is compressed.",
    422: "The idempotency key was used with another body.",
    429: "A limit of the key is reached; see `Retry-After`.",
    500: "A fault of the server; `x-cost` says what was taken, mostly nothing.",
    503: "The queue is full or the model is loading; see `Retry-After`.",
}
BODY_ERRORS = (400, 401, 403, 406, 413, 415, 500)
DRAW_ERRORS = (*BODY_ERRORS, 422, 429, 503)
_DRAW_HEADERS: Mapping[str, str] = {
    "x-remaining-credits": "Balance after the call.",
    "x-request-id": "Id of the call.",
    "x-generation-time": "Seconds.",
    "x-cost": "Credits charged.",
    "x-seed-value": "Seed of the first picture.",
    "x-output-metadata": "JSON: height, width, samples, seeds, format.",
    "x-adjustments": "JSON list of what was done differently from the letter of the request.",
    "x-rate-limit-remaining": "Requests the key may still send in this minute.",
    "x-rate-limit-reset-at-utc": "When the oldest request of the minute stops counting.",
}


def generation_schema(form: wire.Form = wire.FORM) -> Schema:
    """JSON schema of a drawing request, from the readers of its form."""
    required = list(form.required)
    return {"type": "object", "properties": {**_properties(form)}, "required": required}


@cache
def _properties(form: wire.Form) -> Schema:
    """By field; there are a dozen forms, and three times as many routes."""
    defaults = {**_SETTINGS, **form.defaults}
    return {
        name: reader.schema()
        | {"description": _ABOUT[name]}
        | ({"default": defaults[name]} if name in defaults else {})
        for name, reader in form.readers.items()
    }


def body(schema: Schema, *, form: bool = True) -> Schema:
    """A request body of ``schema``, as JSON and, with ``form``, as multipart text fields."""
    content = {"application/json": {"schema": schema}}
    if form:
        content["multipart/form-data"] = {"schema": schema}
    return {"requestBody": {"required": True, "content": content}}


def in_path(name: str, description: str) -> Schema:
    """A parameter that is part of the path."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "minLength": 1, "maxLength": 100, "pattern": r"^\w+$"},
    }


def in_query(name: str, description: str, schema: Schema) -> Schema:
    """A parameter after the question mark."""
    return {"name": name, "in": "query", "description": description, "schema": schema}


def operation(
    id: str, summary: str, answer: Schema, *, errors: tuple[int, ...] = (), **rest: Any
) -> Schema:
    """What a route is documented by: one answer in JSON, and the errors it may give, by status."""
    return {
        "summary": summary,
        "operationId": id,
        "responses": {200: answer} | {code: _error(code) for code in errors},
        **rest,
    }


def json_answer(
    description: str, properties: Mapping[str, Any], sometimes: Collection[str] = ()
) -> Schema:
    """An answer that is an object with these properties, present but for those of ``sometimes``."""
    always = [name for name in properties if name not in sometimes]
    schema = {"type": "object", "properties": properties, "required": always}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def list_answer(
    description: str, properties: Mapping[str, Any], sometimes: Collection[str] = ()
) -> Schema:
    """An answer that is a list of such objects."""
    answer = json_answer(description, properties, sometimes)
    content = answer["content"]["application/json"]
    content["schema"] = {"type": "array", "items": content["schema"]}
    return answer


def draw_operation(slug: str, form: wire.Form = wire.FORM) -> Schema:
    """``POST /v1/{slug}``."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    answer = json_answer(
        "The picture: raw, or in JSON with `base64`.",
        {
            "image": {
                "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
            },
            "status": {"type": "string", "enum": ["Success"]},
            "infer_time": {"type": "number"},
            "controls": {
                "type": "array",
                "items": {"type": "string"},
                "description": "With `return_control`: the maps, as base64 of PNG.",
            },
        },
        sometimes=("controls",),
    )
    for media_type in ("image/jpeg", "image/png", "image/webp", "multipart/mixed"):
        answer["content"][media_type] = binary
    answer["headers"] = {
        name: {"description": text, "schema": {"type": "string"}}
        for name, text in _DRAW_HEADERS.items()
    }
    return operation(
        f"draw-{slug}",
        f"Draw pictures with {slug}.",
        answer,
        errors=DRAW_ERRORS,
        parameters=[IDEMPOTENCY_KEY],
        **body(generation_schema(form)),
    )


def quote_operation(form: wire.Form) -> Schema:
    """``POST /api/quote``."""
    whole = {"type": "integer"}
    answer = json_answer(
        "The price; nothing is charged.",
        {
            "credits": _CREDITS,
            "micro_credits": whole,
            "each_micro_credits": whole,
            "rows": {**whole, "description": "UNet rows of one picture."},
            "tiles": {**whole, "description": "Tiles of 64 x 64 pixels of one picture."},
            "samples": whole,
            "adjustments": {"type": "array", "items": {"type": "string"}},
        },
    )
    return operation(
        "quote",
        "What a drawing request would cost.",
        answer,
        errors=BODY_ERRORS,
        **body(generation_schema(form)),
    )


def credits_operation() -> Schema:
    """``GET /v1/get-user-credits``."""
    answer = json_answer("The balance.", {"credits": _CREDITS, "free-credits": _CREDITS})
    return operation("get-user-credits", "Credits left.", answer, errors=(401, 403, 500))


IDEMPOTENCY_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A retry with the same key and body gets the first answer, billed once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def _error(code: int) -> Schema:
    return {"description": ERRORS[code], "content": {"application/json": {"schema": ERROR}}}
