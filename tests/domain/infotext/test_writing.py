"""The text of any picture, read back: by AUTOMATIC1111's rules and by ours, it is its request."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from limner.domain.hires import UPSCALERS, Hires
from limner.domain.infotext import meaning, reading
from limner.domain.infotext.writing import parameters_text
from limner.domain.loras import Lora
from limner.domain.params import Generation
from limner.domain.receipt import receipt
from limner.domain.sampler_names import SCHEDULE_NAMES
from limner.domain.samplers import RULED_NAMES
from limner.domain.upscalers import BUILT_IN
from limner.web.reading.hires import second_pass
from tests.domain.infotext import webui
from tests.domain.test_receipt import MODEL, VERSIONS, Facts

NAMES = st.text("abcdefgh_-. 0123456789", min_size=1, max_size=12).map(str.strip).filter(bool)
WORDS = st.text(
    st.characters(
        blacklist_categories=("Cs", "Cc", "Zl", "Zp"), blacklist_characters="\u00a0\ufeff"
    ),
    max_size=30,
)
# What its rules cannot carry: space at the ends of lines, a tag, the negative prompt's mark.
LINES = (
    st.lists(WORDS, max_size=4)
    .map(lambda lines: "\n".join(line.replace("<", "(").strip() for line in lines).strip())
    .filter(lambda text: "prompt" not in text.casefold())
)
STRENGTHS = st.floats(-10, 10)
LORAS = st.builds(
    Lora,
    name=NAMES,
    sha256=st.just("12" * 32),
    short_hash=st.just("0123456789ab"),
    unet=STRENGTHS,
    text_encoder=STRENGTHS,
)
SEEDS = st.integers(0, 2**64 - 1)


@st.composite
def generations(draw: st.DrawFn) -> Generation:
    sampler = draw(st.sampled_from(RULED_NAMES))
    noisy = sampler in ("Euler a", "DPM++ 2S a", "DPM++ 2M SDE")
    return Generation(
        prompt=draw(LINES),
        negative_prompt=draw(LINES),
        sampler=sampler,
        schedule=draw(st.sampled_from(SCHEDULE_NAMES)),
        eta=draw(st.floats(0, 0.99)) if noisy else None,
        steps=draw(st.integers(1, 150)),
        guidance=draw(st.floats(0, 100)),
        seed=draw(SEEDS),
        width=8 * draw(st.integers(8, 256)),
        height=8 * draw(st.integers(8, 256)),
        clip_skip=draw(st.integers(1, 12)),
        subseed=draw(SEEDS),
        subseed_strength=draw(st.floats(0, 1)),
        eta_noise_seed_delta=draw(st.integers(-100, 2**40)) if noisy else 0,
        noise_source=draw(st.sampled_from(("philox", "torch-cpu"))),
        loras=tuple(draw(st.lists(LORAS, max_size=3, unique_by=lambda lora: lora.name))),
    )


def text_of(g: Generation, name: str = "RPG V4") -> str:
    model = replace(MODEL, name=name)
    prompts = (g.prompt, g.negative_prompt)
    return parameters_text(receipt(g, Facts(seed=g.seed), model, VERSIONS, prompts, "cd" * 32))


@given(g=generations(), name=st.text('abc, :"\\\n0123é', min_size=1, max_size=9).filter(str.strip))
def test_automatic1111_reads_the_request_that_was_drawn(g: Generation, name: str) -> None:
    read = webui.request_of(text_of(g, name.strip()))
    assert read == {
        "prompt": g.prompt,
        "negative_prompt": g.negative_prompt,
        "loras": [(lora.name, lora.text_encoder, lora.unet) for lora in g.loras],
        "steps": g.steps,
        "sampler": g.sampler,
        "scheduler": g.schedule,
        "cfg_scale": g.guidance,
        "seed": g.seed,
        "size": (g.width, g.height),
        "clip_skip": g.clip_skip,
        "subseed": g.subseed,
        "subseed_strength": g.subseed_strength,
        "eta_noise_seed_delta": g.eta_noise_seed_delta,
        "randn_source": "CPU" if g.noise_source == "torch-cpu" else "NV",
        "eta": g.eta,
        "model_hash": "ababababab",
        "model": name.strip(),
        "lora_hashes": ", ".join(f"{lora.name}: 0123456789ab" for lora in g.loras),
    }


@given(g=generations())
def test_the_text_means_the_request_that_was_drawn(g: Generation) -> None:
    draft = meaning.mean(reading.read(text_of(g)))
    body = {
        "subseed": 0,
        "subseed_strength": 0.0,
        "clip_skip": 1,
        "eta_noise_seed_delta": 0,
    } | draft.body
    body = {"noise_source": "philox"} | body
    assert draft.missing == []
    loras = [(f.name, f.unet, f.text_encoder) for f in draft.files if f.kind == "LoRA"]
    assert loras == [(lora.name, lora.unet, lora.text_encoder) for lora in g.loras]
    again = Generation(
        prompt=body["prompt"],
        negative_prompt=body["negative_prompt"],
        sampler=body["sampler"],
        schedule=body["schedule"],
        eta=body.get("eta"),
        steps=int(body["num_inference_steps"]),
        guidance=float(body["guidance_scale"]),
        seed=int(body["seed"]),
        width=body["img_width"],
        height=body["img_height"],
        clip_skip=int(body["clip_skip"]),
        subseed=int(body["subseed"]),
        subseed_strength=float(body["subseed_strength"]),
        eta_noise_seed_delta=int(body["eta_noise_seed_delta"]),
        noise_source=body["noise_source"],
        loras=g.loras,
    )
    assert again == g


@st.composite
def second_passes(draw: st.DrawFn, width: int, height: int) -> Hires:
    scale = draw(st.sampled_from((1, 1.25, 1.3, 1.5, 2, 3)))
    sampler = draw(st.none() | st.sampled_from(RULED_NAMES))
    noisy = draw(st.none() | st.sampled_from(("Automatic", "Karras", "SGM Uniform")))
    return Hires(
        width=8 * int(width * scale // 8) + draw(st.sampled_from((0, 0, 8))),
        height=8 * int(height * scale // 8),
        upscaler=draw(st.sampled_from((*UPSCALERS, *BUILT_IN))),
        steps=draw(st.none() | st.integers(1, 150)),
        strength=draw(st.floats(0, 1)),
        prompt=draw(
            st.none() | WORDS.map(str.strip).filter(lambda text: text not in ("", "0", "0.0"))
        ),
        negative_prompt=draw(st.none() | st.just('a "b", c: d')),
        sampler=sampler,
        schedule=noisy if sampler else None,
        guidance=draw(st.none() | st.floats(0.1, 25)),
    )


@given(st.data())
def test_a_second_pass_is_read_as_it_was_drawn(data: st.DataObject) -> None:
    width, height = (8 * data.draw(st.integers(8, 64)) for _ in range(2))
    hires = data.draw(second_passes(width, height))
    g = Generation(prompt="a", seed=1, width=width, height=height, hires=hires)
    draft = meaning.mean(reading.read(text_of(g)))
    assert "strength" not in draft.body
    said = draft.body["hires"]
    numbers = {"steps": int, "strength": float, "guidance": float, "scale": float}
    said = {name: numbers.get(name, lambda v: v)(value) for name, value in said.items()}
    assert second_pass(said, width, height) == hires


def test_a_size_is_said_as_a_factor_where_it_is_one() -> None:
    for size, pair in (((96, 128), "Hires upscale: 2,"), ((96, 136), "Hires resize: 96x136,")):
        hires = Hires(width=size[0] + 32, height=size[1])
        text = text_of(Generation(prompt="a", seed=1, width=64, height=64, hires=hires))
        assert pair.replace("96x", "128x") in text
