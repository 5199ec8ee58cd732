"""What the embedded model draws: few, small where they may be, and each alone (``exact``)."""

from tests.recorded.call import Call
from tests.recorded.calls.native import KEYS
from tests.recorded.calls.pictures import MASK, SOURCE, text
from tests.recorded.calls.vendor import SCHEDULERS, drawn

SIDES = {"img_width": 512, "img_height": 512}


def small(name, **fields):
    """A knight in AUTOMATIC1111's way, whose pictures may have few steps."""
    body = {"prompt": "a knight in red armor, desert background", "seed": 5, "steps": 6, **fields}
    return Call(name, "POST", "/sdapi/v1/txt2img", json={**body, "width": 256, "height": 256})


def source(name, **fields):
    return drawn(name, prompt="a mage, castle background", image=text(SOURCE), exact=True, seed=6,
                 **fields)  # fmt: skip


CALLS = [
    *KEYS[:1],
    *(small(f"squire-{name}", sampler_name=name) for name in SCHEDULERS),
    drawn("squire-plain", prompt="an elf queen, silver crown", seed=1, exact=True),
    drawn("squire-torch", prompt="a red dragon", seed=2, exact=True, noise_source="torch-cpu"),
    drawn("squire-sprite", prompt="a green slime", seed=3, exact=True, output="sprite"),
    drawn("squire-words", prompt="(a wolf:1.3) AND [snow:forest:0.5]", seed=4, exact=True),
    drawn("squire-guidance-one", prompt="a gem", seed=4, exact=True, guidance_scale=1),
    source("squire-img2img", strength=0.6),
    source("squire-inpaint", mask=text(MASK), mask_blur=2),
    Call("squire-explain", "POST", "/api/explain", json={"prompt": "a knight, xylophone"}),
    Call("squire-model", "GET", "/api/model"),
    Call("squire-credits", "GET", "/v1/get-user-credits"),
]
