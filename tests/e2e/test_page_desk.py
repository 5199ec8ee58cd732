"""The desk under the hand: nothing moves, nothing is rounded, what is copied works."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.e2e.browser import Playground, Visitor, drop

pytestmark = pytest.mark.slow

LAST_SEED = 2**64 - 1
WITHOUT_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"


@pytest.fixture(scope="module")
def desk(chromium, place: Playground):
    """One page for all tests here; each leaves the desk as it likes."""
    context = chromium.new_context(viewport={"width": 1300, "height": 850})
    context.add_init_script(WITHOUT_CLIPBOARD)
    visitor = Visitor(context.new_page(), place, place.make_key())
    yield visitor
    context.close()
    assert visitor.complaints == []


def top_of(page: Page, selector: str) -> float:
    box = page.locator(selector).bounding_box()
    assert box
    return box["y"]


def test_no_word_under_the_prompt_moves_what_is_below(desk: Visitor):
    page = desk.page
    page.fill("#prompt", "")
    expect(page.locator("#prompt-note")).to_be_empty()
    quiet = top_of(page, "#sizes")
    page.fill("#prompt", "a knight, <lora:fog:1> and <lora:mist:1> and a castle")
    expect(page.locator("#prompt-note")).to_contain_text("draws with the LoRA that it names")
    assert top_of(page, "#sizes") == pytest.approx(quiet, abs=0.5)
    page.keyboard.press("Control+Home")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#prompt-note")).to_contain_text("1 token")
    box = page.locator("#sizes label").nth(1).bounding_box()
    assert box
    # The press takes the focus from the prompt; the release still meets what was pressed.
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    page.mouse.down()
    assert top_of(page, "#sizes") == pytest.approx(quiet, abs=0.5)
    page.mouse.up()
    expect(page.locator("#sizes input").nth(1)).to_be_checked()
    page.fill("#seed", "")
    below = top_of(page, "#source") - top_of(page, "#seed")
    page.fill("#seed", "5")
    expect(page.locator("#seed-note")).to_have_text("Kept for every drawing.")
    assert top_of(page, "#source") - top_of(page, "#seed") == pytest.approx(below, abs=0.5)
    page.click("#sizes label >> nth=0")


def test_the_note_under_the_prompt_speaks_of_all_pictures_of_a_request(desk: Visitor):
    page = desk.page
    page.click("#samples label:has-text('4')")
    with page.expect_response("**/api/explain") as answered:
        page.fill("#prompt", "an elf, <lora:fog:1>")
    told = answered.value.json()["adjustments"]
    assert not [text for text in told if "sample" in text or "picture" in text], told
    page.click("#samples label:has-text('1')")


def test_the_largest_seed_keeps_every_digit(desk: Visitor):
    page = desk.page
    page.fill("#prompt", "a knight")
    page.fill("#seed", str(LAST_SEED))
    desk.draw(steps=3)
    assert desk.stored()[0]["generation"]["seed"] == LAST_SEED
    expect(page.locator("#under")).to_contain_text(f"seed {LAST_SEED}")
    page.click("#act-settings")
    expect(page.locator("#seed")).to_have_value(str(LAST_SEED))
    page.click("#act-receipt")
    receipt = json.loads(page.locator("dialog pre").inner_text())
    assert receipt["parameters"]["seed"] == LAST_SEED
    page.keyboard.press("Escape")


def test_copying_works_without_https(desk: Visitor):
    page = desk.page
    page.fill("#prompt", "a knight")  # another test leaves one that names a LoRA of nobody
    desk.draw(steps=3)
    page.click("#act-copy")
    page.click("#tab-curl")
    page.evaluate(
        "document.addEventListener('copy', () => { window.copied = String(getSelection()) || "
        "document.activeElement.value }, { once: true })"
    )
    page.click("#snippet-copy")
    expect(page.locator("dialog [role=status]")).to_contain_text("Copied")
    copied = page.evaluate("window.copied")
    assert desk.key in copied
    assert "/api/draw" in copied
    assert '"num_inference_steps": 3' in copied
    page.keyboard.press("Escape")


def test_a_picture_is_never_smaller_than_20_rem(desk: Visitor):
    page = desk.page
    page.fill("#prompt", "a knight")
    desk.draw(steps=3)
    try:
        for width, height in ((640, 400), (844, 390), (1100, 420), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            box = page.locator(".tile").bounding_box()
            assert box
            assert box["width"] >= 320, (width, height)
            # A sprite's pixels are all of one size: 32 of them in this picture.
            assert box["width"] % 32 == 0, (width, height)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    finally:
        page.set_viewport_size({"width": 1300, "height": 850})


def test_a_picture_too_large_to_be_read_is_refused_where_it_is_dropped(desk: Visitor):
    file = io.BytesIO()
    Image.new("1", (8000, 5001)).save(file, "PNG")
    drop(desk.page, file.getvalue())
    expect(desk.page.locator("#source-error, [data-field=image] .error")).to_have_text(
        "image is 8000x5001; at most 40,000,000 pixels are read"
    )
    expect(desk.page.locator("#source-panel")).to_be_hidden()
