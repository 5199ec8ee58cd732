"""Every surface that draws, as a client sees it: a body made of dice, and the pictures of answers.

``SURFACES`` is the table; a test holds it against the application's routes.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from limner import imaging
from limner.domain.params import Generation
from limner.domain.receipt import receipt
from limner.engine.batching.fake import FAKE_MODEL
from limner.engine.batching.ticket import Facts

SIDE = 64
SOURCE = imaging.to_png(np.full((SIDE, SIDE, 3), 90, np.uint8))
MASK = imaging.to_png(np.full((SIDE, SIDE, 3), 255, np.uint8))
GOOD = ("a knight", "{red|blue|green} elf", "orc AND axe", "a {dog|cat} in a {hat|cape}")
BAD = ("!black", "!fault", "{a|b|!black} mage")
PARTS = GOOD * 4 + BAD
SMALL = {"img_width": SIDE, "img_height": SIDE}
MIXED = {"accept": "multipart/mixed"}


@dataclass(frozen=True)
class Surface:
    """A way to have something drawn.

    ``fields`` makes what is its own of a body, ``read`` gives the files of an answer; a surface
    without it answers with ids of stored requests. ``files`` are sent as parts of a form.
    ``grid``: one file holds all pictures.
    """

    path: str
    fields: Callable[[random.Random], dict]
    read: Callable | None = None
    headers: dict[str, str] | None = None
    files: dict[str, bytes] | None = None
    grid: bool = False


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def prompted(dice: random.Random) -> dict:
    """What all bodies with a prompt have in common."""
    body = {"prompt": dice.choice(PARTS), "template": dice.random() < 0.7}
    if dice.random() < 0.5:
        lines = [dice.choice(PARTS) for _ in range(dice.randint(1, 3))]
        body["style_mix"] = {"sequence": lines, "colors": "random"}
    return body


def _vendor(**fixed):
    return lambda dice: {**prompted(dice), "samples": dice.randint(1, 3), **fixed}


def _openai(dice):
    return {**prompted(dice), "n": dice.randint(1, 3), "size": "64x64", "num_inference_steps": 20}


def _edit(dice):
    return {**_openai(dice), "strength": dice.choice((0.5, 1))}


def _sdapi(**fixed):
    def fields(dice):
        size = {"width": SIDE, "height": SIDE, "steps": 3}
        return {**prompted(dice), "batch_size": dice.randint(1, 3), **size, **fixed}

    return fields


def _native(**fixed):
    def fields(dice):
        body = {**prompted(dice), "samples": dice.randint(1, 3), "steps": 3, **SMALL, **fixed}
        if dice.random() < 0.5:
            return body
        return {"requests": [body, {**body, "prompt": "another"}]}

    return fields


def _receipt(dice):
    prompt = dice.choice(("a knight", "orc AND axe", "!black", "!fault"))
    drawn = Generation(prompt=prompt, steps=3, width=SIDE, height=SIDE, seed=dice.randrange(99))
    facts = Facts(drawn.seed, 3, 2, "none", "shared", FAKE_MODEL)
    record = receipt(drawn, facts, FAKE_MODEL, {"limner": "0"}, (prompt, ""), "0" * 64)
    return {"receipt": record}


def _json(answer, _get):
    """Base64 of one picture or of several, in the field of this or that surface."""
    told = answer.json()
    images = told.get("image") or told.get("images") or [d["b64_json"] for d in told["data"]]
    return [base64.b64decode(each) for each in ([images] if isinstance(images, str) else images)]


def _parts(answer, _get):
    """One file, or several as ``multipart/mixed``."""
    _, _, boundary = answer.headers["content-type"].partition("boundary=")
    if not boundary:
        return [answer.content]
    parts = answer.content.split(f"--{boundary}".encode())[1:-1]
    return [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts]


def _named(answer, get):
    """A picture that the answer names."""
    return [get(f"/api/pictures/{answer.json()['picture_id']}").content]


IMAGE = {"image": text(SOURCE), "strength": 0.5}
MASKED = {**IMAGE, "mask": text(MASK)}
SURFACES = (
    Surface("/v1/sd1.5-rpg", _vendor(base64=True), _json),
    Surface("/v1/sd1.5-rpg", _vendor(base64=True, output="grid"), _json, grid=True),
    Surface("/v1/sd1.5-rpg", _vendor(output="grid", output_format="png"), _parts, grid=True),
    Surface("/v1/sd1.5-rpg", _vendor(), _parts, MIXED),
    Surface("/v1/sd1.5-rpg", _vendor(output_format="webp"), _parts),
    Surface("/v1/sd1.5-rpg", _vendor(**IMAGE), _parts, MIXED),
    Surface("/v1/sd1.5-img2img", _vendor(base64=True, **IMAGE), _json),
    Surface("/v1/sd1.5-inpainting", _vendor(base64=True, **MASKED), _json),
    Surface("/v1/sd1.5-outpaint", _vendor(base64=True, image=text(SOURCE)), _json),
    Surface("/v1/sd1.5-controlnet-canny", _vendor(base64=True, image=text(SOURCE)), _json),
    Surface("/v1/images/generations", _openai, _json),
    Surface("/v1/images/edits", _edit, _json, files={"image": SOURCE, "mask": MASK}),
    Surface("/sdapi/v1/txt2img", _sdapi(), _json),
    Surface("/sdapi/v1/img2img", _sdapi(init_images=[text(SOURCE)], mask=text(MASK)), _json),
    Surface("/api/replay", _receipt, _named),
    Surface("/v2/sd1.5-rpg", _vendor()),
    Surface("/v2/sd1.5-img2img", _vendor(**IMAGE)),
    Surface("/v2/sd1.5-inpainting", _vendor(**MASKED)),
    Surface("/v2/sd1.5-outpaint", _vendor(image=text(SOURCE))),
    Surface("/v2/sd1.5-controlnet-canny", _vendor(image=text(SOURCE))),
    Surface("/api/draw", _vendor(base64=True), _json),
    Surface("/api/requests", _native()),
    Surface("/api/requests", _native(**IMAGE)),
)


def as_form(body: dict) -> dict[str, str]:
    """A body's fields as a form has them."""
    return {n: v if isinstance(v, str) else json.dumps(v) for n, v in body.items()}
