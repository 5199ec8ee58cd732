"""Earlier prompts, by keyboard; names of the library's files; a finished picture made larger."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from limner import imaging
from tests.e2e.browser import Visitor

pytestmark = pytest.mark.slow
ROWS = ".asked button"


def test_an_earlier_prompt_comes_back_by_keyboard_alone(visit):
    visitor = visit()
    page = visitor.page
    page.fill("#negative", "rain")
    for prompt in ("a {red|red} knight", "an old mage", "an old mage"):
        page.fill("#prompt", prompt)
        visitor.draw(steps=3)
    page.fill("#prompt", "something else")
    page.locator("#act-png").focus()
    page.keyboard.press("h")
    # Each once, the newest first, and as it was typed.
    expect(page.locator(ROWS)).to_have_count(2)
    texts = page.locator(ROWS).all_inner_texts()
    assert [text.split("\n")[0] for text in texts] == ["an old mage", "a {red|red} knight"]
    expect(page.get_by_label("Search the earlier prompts")).to_be_focused()
    page.keyboard.type("KNIGHT")
    expect(page.locator(ROWS)).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#prompt")).to_have_value("a {red|red} knight")
    expect(page.locator("#prompt")).to_be_focused()
    page.click("#notice button:has-text('Undo')")
    expect(page.locator("#prompt")).to_have_value("something else")


def test_names_of_the_library_go_into_the_prompt(visitor: Visitor):
    page = visitor.page
    about = [
        {"name": name, "kind": kind, "usable": usable, "trigger_words": words}
        for name, kind, usable, words in (
            ("fog", "lora", True, ["misty"]),
            ("bad-hands", "textual-inversion", True, []),
            ("broken", "lora", False, []),
        )
    ]
    page.route("**/api/models", lambda route: route.fulfill(json=about))
    page.fill("#prompt", "a knight,")
    page.click("#names-open")
    expect(page.locator("dialog .options button")).to_have_count(2)
    page.click("dialog button:has-text('fog')")
    expect(page.locator("#prompt")).to_have_value("a knight, <lora:fog:1> misty")
    page.fill("#negative", "")
    page.click("#names-open")
    page.select_option("#names-into", "negative")
    page.click("dialog button:has-text('bad-hands')")
    expect(page.locator("#negative")).to_have_value("bad-hands")
    expect(page.locator("#negative")).to_be_focused()
    page.unroute("**/api/models")


def test_a_finished_picture_is_made_larger_and_saved(visitor: Visitor):
    page = visitor.page
    page.fill("#prompt", "a knight")
    visitor.draw(steps=3)
    credits = page.locator("#credits strong").inner_text()
    page.click("#act-larger")
    page.select_option("#larger-by", "Nearest")
    with page.expect_download() as saved:
        page.click("#larger-save")
    large = imaging.read_image(Path(saved.value.path()).read_bytes())
    assert large.shape == (1024, 1024, 3)
    # Each pixel became four.
    assert (large[::2, ::2] == large[1::2, 1::2]).all()
    expect(page.locator("dialog [role=status]")).to_have_text("Saved.")
    page.keyboard.press("Escape")
    assert page.locator("#credits strong").inner_text() == credits
