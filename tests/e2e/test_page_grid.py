"""A grid of two settings: priced before, drawn from one seed, labelled, saved as one picture."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from limner import imaging
from tests.e2e.browser import Visitor

pytestmark = pytest.mark.slow


def test_every_value_of_two_settings_from_one_seed(visitor: Visitor):
    page = visitor.page
    before = len(visitor.stored())
    page.fill("#prompt", "a knight of the grid")
    visitor.set_steps(7)
    page.click("#grid-open")
    page.fill("#grid-x-numbers", "2, 4, 4, 6")
    page.select_option("#grid-y", "scheduler")
    expect(page.locator("#grid-y-values [aria-pressed=true]")).to_have_count(2)
    expect(page.locator("#grid-price")).to_contain_text("6 pictures, 0.")
    told = float(page.locator("#grid-price").inner_text().split()[2])
    page.click("#grid-draw")
    expect(page.locator("#tray .job")).to_have_count(0)
    made = [r["generation"] for r in visitor.stored()[: len(visitor.stored()) - before]]
    assert [g["steps"] for g in reversed(made)] == [2, 4, 6, 2, 4, 6]
    assert len({g["scheduler"] for g in made}) == 2
    assert len({g["seed"] for g in made}) == 1
    paid = sum(r["cost"] for r in visitor.stored()[:6])
    assert paid == pytest.approx(told, abs=1e-6)
    labels = page.locator(".tile .label").all_inner_texts()
    first = made[-1]["scheduler"]
    assert labels[:2] == [f"Steps 2 · Sampler {first}", f"Steps 4 · Sampler {first}"]
    style = page.locator("#sheet").get_attribute("style") or ""
    assert "--columns: 3" in style
    with page.expect_download() as saved:
        page.click("#act-sheet")
    sheet = imaging.read_image(Path(saved.value.path()).read_bytes())
    left = sheet.shape[1] - 3 * 520 - 8  # room for the names of the rows
    assert sheet.shape[0] == 2 * 520 + 8 + 28
    assert 40 < left <= 240
    # Names of columns above the first row alone, of rows left of the first column alone.
    assert all(sheet[8:36, left + 8 + n * 520 : left + 520 + n * 520].min() < 100 for n in range(3))
    assert (sheet[548:556, left:] == 255).all()
    assert all(sheet[36 + n * 520 : 548 + n * 520, 8:left].min() < 100 for n in range(2))


def test_what_stands_together_is_saved_as_one_picture(visitor: Visitor):
    page = visitor.page
    page.fill("#prompt", "a mage of the grid")
    visitor.set_steps(3)
    page.click("#grid-open")
    page.select_option("#grid-x", "seed")
    page.fill("#grid-x-numbers", "5 18446744073709551615")
    expect(page.locator("#grid-price")).to_contain_text("2 pictures")
    page.click("#grid-draw")
    visitor.wait_until_drawn()
    assert visitor.stored()[0]["generation"]["seed"] == 2**64 - 1
    with page.expect_download() as saved:
        page.click("#act-sheet")
    assert saved.value.suggested_filename == "limner-sheet-2x1.png"
    sheet = imaging.read_image(Path(saved.value.path()).read_bytes())
    assert sheet.shape == (512 + 28 + 16, 2 * 512 + 24, 3)
    # The label in its line, then the picture: neither is a blank.
    assert sheet[8:36, 8:520].min() < 100
    assert sheet[36:548, 8:520].std() > 1
    assert (sheet[:8] == 255).all()


def test_what_cannot_be_a_grid_is_told_and_not_drawn(visitor: Visitor):
    page = visitor.page
    page.fill("#prompt", "a knight")
    page.click("#grid-open")
    for numbers, says in (
        ("2, two", "Steps: two is not a number."),
        (" ".join(map(str, range(1, 80))), "79 pictures; at most 64"),
        ("900", "num_inference_steps is 900"),
    ):
        page.fill("#grid-x-numbers", numbers)
        expect(page.locator("#grid-price")).to_contain_text(says)
        expect(page.locator("#grid-draw")).to_be_disabled()
    page.fill("#grid-x-numbers", "3")
    expect(page.locator("#grid-draw")).to_be_enabled()
    page.select_option("#grid-y", "num_inference_steps")
    expect(page.locator("#grid-price")).to_have_text("Columns and rows are the same setting.")
    page.keyboard.press("Escape")
