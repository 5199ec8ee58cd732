"""AUTOMATIC1111's API."""

from tests.recorded.call import Call
from tests.recorded.calls.pictures import MASK, SOURCE, text, uri

ROOT = "/sdapi/v1"
LISTS = (
    "samplers", "schedulers", "sd-models", "prompt-styles", "cmd-flags", "upscalers",
    "latent-upscale-modes", "sd-vae", "loras", "embeddings", "hypernetworks", "face-restorers",
    "realesrgan-models", "extensions", "scripts", "progress", "options",
)  # fmt: skip
SMALL = {"prompt": "a wolf", "seed": 31, "steps": 8, "width": 128, "height": 96}


def txt2img(name, **fields):
    return Call(name, "POST", f"{ROOT}/txt2img", json={**SMALL, **fields})


def img2img(name, **fields):
    body = {**SMALL, "init_images": [uri(SOURCE)], **fields}
    return Call(name, "POST", f"{ROOT}/img2img", json=body)


CALLS = [
    Call("txt2img", "POST", f"{ROOT}/txt2img", json=SMALL, key="", headers={
        "authorization": "Bearer $(key-me.key)"}),
    txt2img("txt2img-defaults", width=None, height=None, steps=None),
    txt2img("txt2img-batch", batch_size=2, n_iter=2, negative_prompt="fog"),
    txt2img("txt2img-sampler", sampler_name="DPM++ 2M", scheduler="Karras", cfg_scale=4),
    txt2img("txt2img-old-sampler", sampler_index="DPM2 a Karras"),
    txt2img("txt2img-sde", sampler_name="DPM++ SDE", scheduler="Exponential"),
    txt2img("txt2img-no-sampler", sampler_name="Nothing"),
    txt2img("txt2img-odd-size", width=131, height=70),
    txt2img("txt2img-comment", prompt="a wolf # not a dog\nin snow"),
    txt2img("txt2img-subseed", subseed=4, subseed_strength=0.3, batch_size=2),
    txt2img("txt2img-clip", override_settings={"CLIP_stop_at_last_layers": 2, "other": 1}),
    txt2img("txt2img-hires", enable_hr=True, hr_scale=2, tiling=True, restore_faces=True),
    txt2img("txt2img-styles", styles=["candlelit", "no such style"]),
    txt2img("txt2img-unseen", send_images=False),
    txt2img("txt2img-guidance-zero", cfg_scale=0),
    txt2img("txt2img-mix", style_mix={"mood": "candlelit", "sequence": ["x", "y"]}),
    txt2img("txt2img-template", template=True, prompt="a {red|blue} wolf"),
    txt2img("txt2img-empty", prompt=""),
    txt2img("txt2img-many", batch_size=5, n_iter=4),
    txt2img("txt2img-steps", steps=151),
    txt2img("txt2img-huge", width=4096),
    txt2img("txt2img-script", script_name="x/y/z plot", alwayson_scripts={"controlnet": {}}),
    txt2img("txt2img-fault", prompt="!fault"),
    img2img("img2img-plain"),
    img2img("img2img-low", denoising_strength=0.3, resize_mode=1, include_init_images=True),
    img2img("img2img-mask", mask=text(MASK), mask_blur=2),
    img2img("img2img-inverted", mask=text(MASK), inpainting_mask_invert=1, inpainting_fill=0),
    img2img("img2img-nothing", init_images=[]),
    img2img("img2img-mode", resize_mode=3),
    img2img("img2img-bad-mode", resize_mode=9),
    Call("png-info", "POST", f"{ROOT}/png-info", json={"image": "$(txt2img-batch.images.0)"}),
    Call("png-info-nothing", "POST", f"{ROOT}/png-info", json={"image": text(SOURCE)}),
    Call("png-info-broken", "POST", f"{ROOT}/png-info", json={"image": "x"}),
    *(Call(name, "GET", f"{ROOT}/{name}") for name in LISTS),
    Call("options-set", "POST", f"{ROOT}/options", json={"CLIP_stop_at_last_layers": 2, "x": 1}),
    txt2img("txt2img-after-options"),
    Call("options-get", "GET", f"{ROOT}/options"),
    Call("options-bad", "POST", f"{ROOT}/options", json={"sd_model_checkpoint": "another"}),
    Call("options-back", "POST", f"{ROOT}/options", json={"CLIP_stop_at_last_layers": 1}),
    Call("interrupt", "POST", f"{ROOT}/interrupt"),
    Call("skip", "POST", f"{ROOT}/skip"),
    Call("refresh", "POST", f"{ROOT}/refresh-checkpoints"),
    Call("sdapi-no-key", "GET", f"{ROOT}/options", key=""),
    Call("sdapi-nothing", "GET", f"{ROOT}/nothing"),
]  # fmt: skip
