"""Text blocks read exactly as AUTOMATIC1111 reads them."""

from __future__ import annotations

import pytest

from limner.domain.infotext.parsing import parse
from limner.errors import InvalidInput


def test_parameters_of_others_are_read():
    text = (
        "masterpiece, Steps: many\n\nNegative prompt: x\ny\nSteps: 20, Sampler: DPM++ 2M Karras, "
        'CFG scale: 7, Seed: 1, Size: 512x768, Lora hashes: "a: 1, b: \\"2\\"", Version: v1.9'
    )
    assert parse(text) == {
        "Prompt": "masterpiece, Steps: many",
        "Negative prompt": "x\ny",
        "Steps": "20",
        "Sampler": "DPM++ 2M Karras",
        "CFG scale": "7",
        "Seed": "1",
        "Size-1": "512",
        "Size-2": "768",
        "Lora hashes": 'a: 1, b: "2"',
        "Version": "v1.9",
    }
    assert parse("only words") == {"Prompt": "only words", "Negative prompt": ""}


PAIRS = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512"
READ = {
    "Steps": "20",
    "Sampler": "Euler a",
    "CFG scale": "7",
    "Seed": "1",
    "Size-1": "512",
    "Size-2": "512",
}


@pytest.mark.parametrize(
    ("text", "prompt", "negative", "pairs"),
    [
        (
            f'a poster that says "Negative prompt: none", red\nNegative prompt: cars\n{PAIRS}',
            'a poster that says "Negative prompt: none", red',
            "cars",
            READ,
        ),
        ("a\n" + PAIRS.replace(", ", ","), "a", "", READ),
        (f"a\n{PAIRS},", "a", "", READ),
        (
            f"a\n{PAIRS}, Hires resize: 1024x1536",
            "a",
            "",
            READ | {"Hires resize-1": "1024", "Hires resize-2": "1536"},
        ),
        ("a stair, Steps: many", "a stair, Steps: many", "", {}),
        ("a stair\nSteps: 20, Seed: 2", "a stair\nSteps: 20, Seed: 2", "", {}),
        (f"a\u2028b\n{PAIRS}", "a\u2028b", "", READ),
        (f'a\n{PAIRS}, Empty: , T: x, TI: "open, b: 2', "a", "", READ | {"TI": '"open', "b": None}),
        (f"a\n  Negative prompt:  b \n c\n{PAIRS}, Prompt: z", "a", "b\nc", READ),
    ],
)
def test_text_blocks_are_read_as_there(text, prompt, negative, pairs):
    expected = {name: value for name, value in pairs.items() if value is not None}
    assert parse(text) == {"Prompt": prompt, "Negative prompt": negative, **expected}


def test_a_text_without_bounds_is_refused():
    with pytest.raises(InvalidInput, match="image holds a text of 1,000,001 characters; at most"):
        parse("a" * 1_000_001)
