"""The painter of masks owns the page while it is open, and loses no stroke."""

from __future__ import annotations

from itertools import count

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import Visitor, a_picture, drop

pytestmark = pytest.mark.slow

SIDES = count(64)
PAINTED = "node => node.getContext('2d').getImageData(32, 32, 1, 1).data[3]"


CORNER = PAINTED.replace("32, 32", "0, 0")


def centre(page: Page) -> tuple[float, float]:
    box = page.locator("canvas.paint").bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.fixture
def painter(visitor: Visitor) -> Page:
    """The painter, open on a new source."""
    page = visitor.page
    side = next(SIDES)  # a source that no test had before
    drop(page, a_picture(side, side))
    page.wait_for_selector(f"#source-panel img[alt^='The source, {side} by']")
    page.click("#mask-open")
    expect(page.locator("canvas.paint")).to_be_focused()
    return page


def test_no_key_of_the_page_draws_behind_it(visitor: Visitor, painter: Page):
    painter.keyboard.press("Space")
    painter.keyboard.press("Control+Enter")
    # It takes the mask, and nothing was drawn without it.
    expect(painter.locator("#mask-open")).to_have_text("Change the mask")
    assert visitor.stored() == []


def test_strokes_that_were_left_are_there_again(painter: Page):
    painter.keyboard.press("Space")
    painter.keyboard.press("Escape")
    expect(painter.locator("#mask-open")).to_have_text("Go on with the mask")
    painter.click("#mask-open")
    canvas = painter.locator("canvas.paint")
    painter.wait_for_function(f"({PAINTED})(document.querySelector('canvas.paint')) === 255")
    painter.keyboard.press("Control+z")
    assert canvas.evaluate(PAINTED) == 255  # nothing was done since
    painter.keyboard.press("Escape")


def test_redo_and_the_right_button(painter: Page):
    canvas = painter.locator("canvas.paint")
    canvas.click(button="right", position={"x": 2, "y": 2})
    assert canvas.evaluate(CORNER) == 0
    painter.mouse.move(*centre(painter))
    painter.keyboard.press("Space")
    assert canvas.evaluate(PAINTED) == 255
    painter.keyboard.press("Control+z")
    assert canvas.evaluate(PAINTED) == 0
    painter.keyboard.press("Control+y")
    assert canvas.evaluate(PAINTED) == 255
    painter.keyboard.press("Control+z")
    painter.click("text=Redo")
    assert canvas.evaluate(PAINTED) == 255
    painter.keyboard.press("Escape")


def test_a_fingers_stroke_is_no_swipe_of_which_the_next_tap_would_be_the_end(painter: Page):
    touched = "node => node.dispatchEvent(new Event('touchstart', { cancelable: true }))"
    assert not painter.locator("canvas.paint").evaluate(touched)
    painter.keyboard.press("Escape")
