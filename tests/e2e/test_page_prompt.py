"""The layer behind the prompt reads as the server does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.domain.attention import Span
from limner.domain.prompt import parse

pytestmark = pytest.mark.slow

MARKS = [
    "(",
    ")",
    "[",
    "]",
    ":",
    "|",
    "<",
    ">",
    "\\",
    "\\(",
    ", ",
    " ",
    "\n",
    "a",
    "red",
    "é",
    "🐉",
]
WORDS = ["AND", " AND ", "BREAK", " BREAK ", "<lora:x:1>"]
NUMBERS = [":1.3)", ":0.5]", ":7]", ":1.2.3)", ":-0.4", " :2"]
PIECES = st.sampled_from([*MARKS, *WORDS, *NUMBERS])


@pytest.fixture(scope="module")
def scanner(chromium, place):
    """Runs the page's own reader of prompts."""
    page = chromium.new_page()
    page.goto(place.url + "/")
    code = """async ([text, negative]) => {
      const { scan } = await import("/static/js/desk/prompt/scan.js");
      const { chars } = scan(text, 20, { negative });
      const seen = [...chars.keys()].filter((i) => chars[i]?.first && !/\\s/.test(text[i]));
      return [seen.map((i) => text[i]).join(""), seen.map((i) => chars[i].weight)];
    }"""
    yield lambda text, negative: page.evaluate(code, [text, negative])
    page.close()


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join), st.booleans())
def test_the_page_reads_prompts_as_the_server_does(scanner, text, negative):
    spans = [s for b in parse(text, 20, negative=negative).entries[0].branches for s in b.spans]
    expected = [
        (char, span.weight)
        for span in spans
        if span != Span.BREAK
        for char in span.text
        if not char.isspace()
    ]
    shown, got = scanner(text, negative)
    assert shown == "".join(char for char, _ in expected)
    # JavaScript counts a character beyond the basic plane as two.
    weights = [weight for char, weight in expected for _ in range(1 + (ord(char) > 0xFFFF))]
    assert got == pytest.approx(weights)
