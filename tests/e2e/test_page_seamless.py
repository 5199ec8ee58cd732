"""The playground's control of edges that meet, and its picture laid out two by two."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.e2e.test_page_pictures import sent

pytestmark = pytest.mark.slow
# Of a picture's sides: where its four colours are looked at.
PLACES = {(0.25, 0.25): "red", (0.75, 0.25): "lime", (0.25, 0.75): "blue", (0.75, 0.75): "white"}


def four_colours(image) -> np.ndarray:
    """A picture with a colour in each quarter, so that what is turned or cut shows."""
    g = image.request.generation
    made = Image.new("RGB", (g.width, g.height))
    for (x, y), colour in PLACES.items():
        left, top = int((x - 0.25) * g.width), int((y - 0.25) * g.height)
        made.paste(colour, (left, top, left + g.width // 2, top + g.height // 2))
    return np.asarray(made)


@pytest.mark.parametrize("size", [(512, 512), (512, 768)])
def test_a_seamless_picture_is_asked_for_and_shown_two_by_two(visit, place, size):
    visitor = visit()
    page, bodies = visitor.page, sent(visitor.page)
    honest, place.engine.fake.decode = place.engine.fake.decode, four_colours
    try:
        page.fill("#prompt", "grass")
        page.locator("details:has(#tiling)").evaluate_all("all => all.forEach(d => d.open = true)")
        page.select_option("#tiling", "xy")
        page.locator(f"#sizes label:has(input[value='{size[0]}x{size[1]}'])").click()
        visitor.draw()
    finally:
        place.engine.fake.decode = honest
    assert (bodies[0]["tiling"], visitor.stored()[0]["generation"]["tiling"]) == ("xy", "xy")
    page.click(".tile")
    repeated, button = page.locator(".viewer .repeated"), page.locator("#repeat")
    expect(repeated).to_be_hidden()
    button.click()
    expect(repeated).to_be_visible()
    expect(page.locator(".viewer img")).to_be_hidden()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(button).to_have_css("background-color", "rgb(233, 223, 210)")  # it looks pressed
    shown = Image.open(io.BytesIO(repeated.screenshot())).convert("RGB")
    assert shown.width / shown.height == pytest.approx(size[0] / size[1], rel=0.02)
    for right in (0, 0.5):
        for down in (0, 0.5):
            for (x, y), colour in PLACES.items():
                at = int((right + x / 2) * shown.width), int((down + y / 2) * shown.height)
                assert shown.getpixel(at) == Image.new("RGB", (1, 1), colour).getpixel((0, 0))
    button.click()
    expect(repeated).to_be_hidden()
    expect(page.locator(".viewer img")).to_be_visible()
