"""OpenAI's images API."""

from tests.recorded.call import Call
from tests.recorded.calls.pictures import HOLED, MASK, SOURCE

GENERATIONS, EDITS = "/v1/images/generations", "/v1/images/edits"


def generated(name, **fields):
    return Call(name, "POST", GENERATIONS, json={"prompt": "a dragon", "seed": 21, **fields})


def edited(name, files, **fields):
    data = {"prompt": "a blue dragon", "seed": "22", **fields}
    parts = [(field, (f"{field}.png", picture, "image/png")) for field, picture in files]
    return Call(name, "POST", EDITS, data=data, files=parts)


CALLS = [
    generated("images"),
    generated("images-two", n=2, size="512x768", model="sd1.5-rpg"),
    generated("images-url", response_format="url", n=2),
    generated("images-jpeg", output_format="jpeg", size="auto"),
    generated("images-odd-size", size="500x300"),
    generated("images-ignored", quality="hd", background="auto", user="me", style="vivid"),
    generated("images-more", negative_prompt="ugly", scheduler="DPM Multi",
              num_inference_steps=30, guidance_scale=5, style_mix={"mood": "candlelit"}),
    generated("images-another-model", model="dall-e-3"),
    generated("images-lines", style_mix={"sequence": ["x", "y"]}),
    generated("images-template", template=True, prompt="a {red|blue} dragon"),
    generated("images-stream", stream=True),
    generated("images-eleven", n=11),
    generated("images-huge", size="4096x4096"),
    generated("images-no-prompt", prompt=None),
    generated("images-xml", response_format="xml"),
    Call("images-text", "POST", GENERATIONS, content=b"x", headers={"content-type": "text/plain"}),
    Call("images-no-key", "POST", GENERATIONS, json={"prompt": "x"}, key=""),
    Call("images-poor", "POST", GENERATIONS, json={"prompt": "x", "seed": 1}, key="key-poor"),
    Call("images-key", "POST", GENERATIONS, json={"prompt": "x", "seed": 1},
         headers={"idempotency-key": "images"}),
    Call("images-key-again", "POST", GENERATIONS, json={"prompt": "x", "seed": 1},
         headers={"idempotency-key": "images"}),
    edited("edit", [("image", SOURCE)]),
    edited("edit-mask", [("image", SOURCE), ("mask", HOLED)]),
    edited("edit-own-mask", [("image[]", HOLED)], size="512x512"),
    edited("edit-white-mask", [("image", SOURCE), ("mask", MASK)], n="2"),
    edited("edit-strength", [("image", SOURCE)], strength="0.4", response_format="url"),
    edited("edit-two", [("image[]", SOURCE), ("image[]", HOLED)]),
    edited("edit-nothing", [("mask", MASK)]),
    Call("models", "GET", "/v1/models"),
    Call("models-one", "GET", "/v1/models/sd1.5-rpg"),
    Call("models-none", "GET", "/v1/models/dall-e-3"),
]  # fmt: skip
