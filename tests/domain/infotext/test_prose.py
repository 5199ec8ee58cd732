"""Settings in a sentence, and prompts that hold none."""

import pytest

from limner.domain.infotext import prose


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a knight",
        "a knight, simple, 3 steps down a stair",
        "masterpiece, 8k, a room with 20 steps, euler",
        "a stair of 20 steps, 512x512, seed 7",
        "a knight, 20 steps, euler, cfg 7, then, much, else",
        "a, seed 4, cfg 7, 512x512",
    ],
)
def test_a_prompt_is_left_as_it_is(text: str) -> None:
    assert prose.read(text) == (text, {})


def test_settings_stand_at_the_end() -> None:
    said = {"Sampler": "DPM++ 2M Karras", "Steps": "28", "Clip skip": "2"}
    assert prose.read("DPM++ 2M Karras, 28 steps, clip skip 2") == ("", said)
    assert prose.read("a, b. DPM++ 2M Karras, 28 steps, clip skip 2!") == ("a, b", said)


def test_several_stand_in_one_part() -> None:
    said = {"Sampler": "euler a", "Steps": "20", "CFG scale": "7", "Model": "rev-512x512 v1.2"}
    assert prose.read("a. sampler: euler a 20 steps CFG 7, model rev-512x512 v1.2") == ("a", said)
    _, pairs = prose.read("a, model rpg_v4 20 steps, sampling method: Foo, cfg 7")
    assert (pairs["Model"], pairs["Steps"], pairs["Sampler"]) == ("rpg_v4", "20", "Foo")


@pytest.mark.parametrize(
    ("said", "name", "value"),
    [
        ("512 × 768 px", "Size", "512x768"),
        ("cfg scale = 6.5", "CFG scale", "6.5"),
        ("6.5 CFG", "CFG scale", "6.5"),
        ("seed -1", "Seed", "-1"),
        ("denoise 0.4", "Denoising strength", "0.4"),
        ("ENSD: 31337", "ENSD", "31337"),
        ("schedule: Karras", "Schedule type", "Karras"),
        ("SGM Uniform", "Schedule type", "SGM Uniform"),
        ("checkpoint rpg_v4", "Model", "rpg_v4"),
        ("no hires, with vae-ft-mse", prose.BESIDES, "no hires, with vae-ft-mse"),
    ],
)
def test_each_is_read_by_its_name(said: str, name: str, value: str) -> None:
    _, pairs = prose.read(f"a, Heun, {said}, 20 steps, clip skip 1")
    assert pairs[name] == value
