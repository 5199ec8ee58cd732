"""Hands on the page: where the keyboard is, what single keys may do, what odd input is told."""

from __future__ import annotations

import json

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from limner.imaging import Metadata, encode
from tests.e2e.browser import Playground, Visitor, a_picture, drop
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

FOCUSED = "document.activeElement.getAttribute('aria-label') || document.activeElement.id"


@pytest.fixture
def drawn(visitor: Visitor) -> Page:
    """The page with two pictures and more in its strip."""
    while visitor.page.locator("#strip .thumb").count() < 2:
        visitor.page.fill("#prompt", f"picture {visitor.page.locator('#strip .thumb').count()}")
        visitor.draw(steps=2)
    visitor.page.locator("#strip .thumb").first.click()
    return visitor.page


def choose_style(page: Page, *names: str) -> None:
    page.click("#styles-open")
    for name in names:
        page.click(f"dialog button:text-is('{name}')")
    page.keyboard.press("Escape")


def test_the_keyboard_keeps_its_place(visitor: Visitor, drawn: Page):
    page = drawn
    choose_style(page, "oil painting", "moonlit")
    weight = page.get_by_label("Weight of moonlit")
    weight.fill("0.7")
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "Without moonlit"
    page.keyboard.press("Enter")
    assert page.evaluate(FOCUSED) == "Without oil painting"
    page.keyboard.press("Enter")
    assert page.evaluate(FOCUSED) == "styles-open"
    drop(page, a_picture())
    radio = page.locator("#source-panel input[value=fill]")
    radio.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.value") == "stretch"
    page.click("#source-remove")


def test_back_closes_the_viewer_and_the_focus_is_on_its_picture(drawn: Page):
    address = drawn.url
    drawn.click(".tile")
    expect(drawn.locator(".viewer")).to_be_visible()
    drawn.go_back()
    expect(drawn.locator(".viewer")).to_have_count(0)
    assert drawn.url == address
    assert drawn.evaluate("document.activeElement.className") == "tile"
    drawn.click(".tile")
    drawn.keyboard.press("Escape")
    expect(drawn.locator(".viewer")).to_have_count(0)
    assert drawn.evaluate("document.activeElement.className") == "tile"


def test_the_strip_is_one_stop_and_arrows_walk_it(drawn: Page):
    assert drawn.locator("#strip [tabindex='0']").count() == 1
    drawn.locator("#strip [tabindex='0']").focus()
    first = drawn.evaluate(FOCUSED)
    drawn.keyboard.press("ArrowDown")
    assert drawn.evaluate(FOCUSED) != first
    drawn.keyboard.press("ArrowUp")
    assert drawn.evaluate(FOCUSED) == first


def test_a_key_that_spends_asks_first_and_keys_can_be_off(visitor: Visitor, drawn: Page):
    before = len(visitor.stored())
    if drawn.locator("#lock").get_attribute("aria-pressed") == "true":
        drawn.click("#lock")
    drawn.locator(".tile").focus()
    drawn.keyboard.press("v")
    expect(drawn.locator("#finding")).to_contain_text("four pictures are billed")
    assert drawn.evaluate("document.activeElement.textContent") == "Vary"
    drawn.click("#keys-open")
    drawn.get_by_label("Single keys, without Ctrl").uncheck()
    drawn.keyboard.press("Escape")
    drawn.locator(".tile").focus()
    drawn.keyboard.press("s")
    assert drawn.locator("#lock").get_attribute("aria-pressed") == "false"
    drawn.evaluate("localStorage.removeItem('limner.settings')")
    drawn.keyboard.press("s")
    assert drawn.locator("#lock").get_attribute("aria-pressed") == "true"
    drawn.click("#lock")
    assert len(visitor.stored()) == before


def test_the_weight_of_the_bracket_round_the_caret_changes(visitor: Visitor):
    page = visitor.page
    area = page.locator("#prompt")
    area.fill("a knight in (red armor:1.2)")
    area.evaluate("node => node.setSelectionRange(15, 15)")
    area.press("Control+ArrowUp")
    assert area.input_value() == "a knight in (red armor:1.3)"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a (knight:50)", "A weight of 50 tears"),
        ("a (knight:abc)", "“:abc” is no weight"),
        ("a knight AND", "adds an empty prompt"),
    ],
)
def test_what_is_seldom_meant_is_said(visitor: Visitor, text, told):
    visitor.page.fill("#prompt", text)
    expect(visitor.page.locator("#prompt-note")).to_contain_text(told)


def test_a_fourth_artist_drops_nobody(visitor: Visitor):
    page = visitor.page
    page.click("#styles-open")
    names = page.locator("dialog button[data-kind=artists]:not([data-name=random])")
    for i in range(4):
        names.nth(i).dispatch_event("click")
    assert page.locator("dialog button[data-kind=artists][aria-pressed=true]").count() == 3
    assert names.nth(0).get_attribute("aria-pressed") == "true"
    page.click("dialog button:text-is('Without any')")
    page.keyboard.press("Escape")


@pytest.mark.parametrize("kind", ["text/plain", "image/tiff"])
def test_a_file_that_is_no_source_is_refused_at_once(visitor: Visitor, kind):
    drop(visitor.page, b"II or words", kind)
    line = visitor.page.locator("[data-field=image] .error")
    expect(line).to_contain_text("use PNG, JPEG, WebP, GIF or BMP")


def test_a_source_that_is_elsewhere_is_told(visitor: Visitor):
    generation = {"prompt": "from another", "scheduler": "UniPC", "steps": 20, "guidance": 4.5}
    size = {"seed": 5, "width": 512, "height": 512}
    source = {"sha256": "0" * 64, "strength": 0.4, "resize_mode": "crop"}
    receipt = {"receipt": 1, "parameters": {**generation, **size, "source": source}}
    pixels = np.zeros((64, 64, 3), np.uint8)
    drop(visitor.page, encode(pixels, "png", Metadata("", receipt)))
    visitor.page.click("#load-settings")
    line = visitor.page.locator("[data-field=image] .error")
    expect(line).to_contain_text("another picture (strength 0.4)")
    assert visitor.page.input_value("#prompt") == "from another"


def test_another_programs_picture_fills_the_desk(visitor: Visitor):
    text = (
        "a fox\nNegative prompt: fog\nSteps: 33, Sampler: DPM++ 2M Karras, CFG scale: 6, Seed: 77, "
        "Size: 512x768, Model hash: aaaaaaaaaa, Model: far, Clip skip: 2"
    )
    page = visitor.page
    drop(page, encode(np.zeros((64, 64, 3), np.uint8), "png", Metadata(text)))
    page.click("#load-settings")
    line = page.locator("#source-read")
    expect(line).to_contain_text("checkpoint far (aaaaaaaaaa) is not in the library")
    assert page.input_value("#prompt") == "a fox"
    assert page.input_value("#negative") == "fog"
    assert page.input_value("#scheduler") == "by name: DPM++ 2M"
    assert page.input_value("#schedule") == "Karras"
    assert (page.input_value("#seed"), page.input_value("#steps")) == ("77", "33")
    expect(page.locator("#extra .chip")).to_have_text(["clip skip 2×"])


@pytest.mark.slow
def test_a_reload_keeps_source_and_mask(visit):
    page = visit().page
    drop(page, a_picture())
    page.click("#mask-open")
    page.keyboard.press("Space")
    page.click("#mask-done")
    expect(page.locator("#mask-open")).to_have_text("Change the mask")
    page.reload()
    expect(page.locator("#mask-open")).to_have_text("Change the mask")


def test_a_refused_key_says_so_and_can_be_forgotten(visit, place: Playground):
    page = visit(key=None).page
    page.fill("#key", "SG_ключ")
    page.keyboard.press("Enter")
    expect(page.locator("#key-error")).to_contain_text("plain letters")
    page.evaluate("localStorage.setItem('limner.key', JSON.stringify('SG_' + '0'.repeat(32)))")
    page.reload()
    expect(page.locator("#welcome")).to_contain_text("not let in")
    expect(page.locator("#key")).to_have_count(1)
    page.fill("#key", place.make_key())
    page.keyboard.press("Enter")
    page.wait_for_selector("#price strong")
    expect(page.locator("#key")).to_have_count(0)
    page.click("#key-open")
    page.click("#key-forget")
    expect(page.locator("#welcome")).to_contain_text("Put yours here")
    assert json.loads(page.evaluate("localStorage.getItem('limner.key') ?? 'null'")) is None


def test_what_failed_while_the_server_was_away_is_asked_again(visitor: Visitor):
    page = visitor.page
    page.route("**/api/**", lambda route: route.abort("connectionrefused"))
    page.fill("#prompt", "written without a server")
    expect(page.locator("#price")).to_be_empty()
    page.unroute("**/api/**")
    wait_until(lambda: page.locator("#price strong").count() == 1)
