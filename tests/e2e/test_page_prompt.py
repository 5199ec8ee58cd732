"""The layer behind the prompt reads as the server does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import expect

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


def test_the_count_is_of_what_is_encoded_styles_and_all(visit):
    visitor = visit()
    page = visitor.page
    counts = page.locator("#prompt-count"), page.locator("#negative-count")
    page.fill("#prompt", "a fox")
    page.fill("#negative", "")
    expect(counts[0]).to_have_text("2 / 75")
    expect(counts[1]).to_be_empty()
    page.click("#styles-open")
    page.click("button:text-is('oil painting')")
    page.click("button:text-is('heavy armour')")
    page.keyboard.press("Escape")
    visitor.set_steps(2)
    page.click("#draw")
    page.wait_for_selector(".tile img")
    drawn = visitor.stored()[0]["generation"]
    assert "brushwork" in drawn["prompt"]
    assert "plastic" in drawn["negative_prompt"]
    with visitor.place.api(visitor.key) as api:
        told = api.post("/api/explain", json={n: drawn[n] for n in ("prompt", "negative_prompt")})
    for shown, read in zip(counts, (told.json(), told.json()["negative"]), strict=True):
        encoded = sum(map(len, read["chunks"]))
        expect(shown).to_have_text(f"{encoded} / {75 * len(read['chunks'])}")
