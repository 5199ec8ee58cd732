"""The vendor's route and its siblings."""

import itertools

from tests.recorded.call import Call
from tests.recorded.calls.pictures import MASK, SOURCE, text, uri

PATH = "/v1/sd1.5-rpg"
SCHEDULERS = (
    "DDIM", "DPM Multi", "DPM Single", "Euler a", "Euler", "Heun", "DPM2 a Karras",
    "DPM2 Karras", "LMS", "PNDM", "DDPM", "UniPC",
)  # fmt: skip
ALIASES = ("euler_a", "dpmpp_2m", "dmpp_2m", "dpmpp_sde_ancestral", "dpm_ancestral", "unheard of")
MIX = {
    "image_type": "oil painting",
    "direction": "close portrait",
    "mood": "candlelit",
    "artists": ["Rembrandt"],
    "colors": {"name": "amber", "weight": 1.1},
    "preset": "mage cloak",
}
_seeds = itertools.count(100)


def drawn(name, path=PATH, headers=None, key="key-me", **fields):
    """A drawing in PNG unless it says otherwise, with a seed of its own."""
    body = {"prompt": "a knight", "seed": next(_seeds), "output_format": "png", **fields}
    return Call(name, "POST", path, json=body, headers=headers or {}, key=key)


PLAIN = [
    Call("plain", "POST", PATH, json={"prompt": "a knight in red armor", "seed": 7}),
    *(drawn(f"scheduler-{name}", scheduler=name) for name in (*SCHEDULERS, *ALIASES)),
    drawn("webp", output_format="webp", negative_prompt="blurry"),
    drawn("strings", samples="1", guidance_scale="9", num_inference_steps="25.0", base64="yes"),
    drawn("aliases", negativePrompt="ugly", width=768, height=512, steps=30),
    drawn("nulls", negative_prompt=None, scheduler=None, img_width=None),
    drawn("extra-keys", strength=0.5, style="oil", refiner=True, control_scale=1, size="big"),
    drawn("base64", base64=True),
    drawn("base64-four", base64=True, samples=4),
    drawn("one-of-three", samples=3),
    drawn("mixed", headers={"accept": "multipart/mixed"}, samples=3),
    drawn("grid", samples=4, output="grid"),
    drawn("grid-base64", samples=3, output="grid", base64=True, output_format="jpeg"),
    drawn("no-metadata", metadata=False),
    drawn("big-seed", seed=2601738487234),
    drawn("tall", img_height=1024, img_width=512),
    drawn("exact", exact=True, noise_source="torch-cpu", clip_skip=2),
    drawn("subseed", subseed=5, subseed_strength=0.25),
    drawn("guidance-one", guidance_scale=1),
    Call("form", "POST", PATH, files=[
        (name, (None, value)) for name, value in
        {"prompt": "a form", "seed": "9", "samples": "2", "base64": "1"}.items()
    ]),
    drawn("bearer", headers={"authorization": "Bearer $(key-me.key)"}, key=""),
    drawn("weights", prompt="(skull:0.8) [knight:mage:0.5] [red|blue] BREAK gold", steps=20),
    drawn("composed", prompt="a dragon AND a castle :0.5", negative_prompt="(fog)"),
    drawn("lora", prompt="a knight <lora:dragon:0.5>"),
]  # fmt: skip

WORDS = [
    drawn("mix", style_mix=MIX),
    drawn("mix-random", style_mix={"mood": "random", "movements": ["random"], "colors": "random"}),
    drawn("mix-lines", base64=True, prompt="portrait",
          style_mix={"sequence": ["a knight", "a mage"], "subsequence": ["old", "new"]}),
    drawn("mix-lines-mixed", style_mix={"sequence": ["x", "y", "z"]}, samples=2,
          headers={"accept": "multipart/mixed"}),
    drawn("mix-lines-single", style_mix={"sequence": ["x", "y"]}),
    drawn("template", template=True, prompt="a {red|blue|green} {knight|mage}"),
    drawn("template-two", template=True, prompt="{2$$, $$gold|silver|iron} crown, __color__"),
    drawn("template-off", prompt="a {red|blue} knight"),
]  # fmt: skip

FROM_PICTURES = [
    drawn("img2img", image=text(SOURCE), strength=0.6),
    drawn("img2img-uri", image=uri(SOURCE), resize_mode="fill", img_width=768),
    Call("img2img-form", "POST", PATH,
         data={"prompt": "x", "strength": "0.5", "seed": "3", "output_format": "png"},
         files={"image": ("a.png", SOURCE, "image/png")}),
    drawn("img2img-imageUrl", imageUrl=text(SOURCE), strength=1, scheduler="LMS"),
    drawn("img2img-base64", image=text(SOURCE), samples=2, base64=True, resize_mode="stretch"),
    drawn("inpaint", image=text(SOURCE), mask=text(MASK), mask_blur=4),
    drawn("mask-alone", mask=text(MASK)),
    drawn("sibling-img2img", "/v1/sd1.5-img2img", image=text(SOURCE), strength=0.8),
    drawn("sibling-inpainting", "/v1/sd1.5-inpainting", image=text(SOURCE), mask=text(MASK),
          img_width=626, img_height=626),
    drawn("sibling-outpaint", "/v1/sd1.5-outpaint", image=text(SOURCE), scale=2, offset_x=100),
    drawn("sibling-outpaint-low", "/v1/sd1.5-outpaint", image=text(SOURCE), strength=0.7,
          scale=4, mask_expand=16, img_width=512, img_height=512),
    drawn("sibling-mask-missing", "/v1/sd1.5-inpainting", image=text(SOURCE)),
    drawn("sibling-controlnet", "/v1/sd1.5-controlnet-canny", image=text(SOURCE)),
]  # fmt: skip

AGAIN = [
    drawn("first", headers={"idempotency-key": "one"}, seed=1),
    drawn("retried", headers={"idempotency-key": "one"}, seed=1),
    drawn("retried-otherwise", headers={"idempotency-key": "one"}, seed=2),
    drawn("retried-by-another", headers={"idempotency-key": "one"}, seed=2, key="key-other"),
    drawn("lines-first", headers={"idempotency-key": "two"}, seed=4, base64=True,
          style_mix={"sequence": ["x", "y"]}),
    drawn("lines-retried", headers={"idempotency-key": "two"}, seed=4, base64=True,
          style_mix={"sequence": ["x", "y"]}),
    drawn("key-too-long", headers={"idempotency-key": "x" * 300}),
]  # fmt: skip

CALLS = [
    *PLAIN,
    *WORDS,
    *FROM_PICTURES,
    *AGAIN,
    Call("credits", "GET", "/v1/get-user-credits"),
]
