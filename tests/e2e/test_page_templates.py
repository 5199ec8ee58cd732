"""One prompt, many pictures: choices and lists; and what is kept of them in the earlier prompts."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import Visitor
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


def told(page: Page) -> float:
    return float(page.locator("#price strong").inner_text())


def test_a_template_makes_its_choices_for_each_picture(visit):
    visitor = visit()
    page = visitor.page
    page.select_option("#template", "choices")
    page.fill("#prompt", "a {red|blue|green|black|white|brown} {cat|owl|fox|hen|cow|dog}")
    page.click("#samples label:has-text('4')")
    expect(page.locator("#price")).to_contain_text("for 4")
    visitor.draw(steps=2)
    (request,) = visitor.stored()
    assert sum(line["samples"] for line in request["lines"]) == 4
    assert "{" not in request["generation"]["prompt"]
    assert request["cost"] == pytest.approx(told(page), abs=1e-6)


def test_each_line_of_a_list_is_a_request_priced_before(visit):
    visitor = visit()
    page = visitor.page
    visitor.set_steps(4)
    page.fill("#prompt", "a knight\n\n  \na mage AND a tower\na {red|red} owl")
    expect(page.locator("#price strong")).not_to_be_empty()
    page.select_option("#template", "lines")
    expect(page.locator("#price")).to_contain_text("for 3")
    price = told(page)
    page.click("#draw")
    visitor.wait_until_drawn()
    wait_until(lambda: all(r["status"] == "COMPLETED" for r in visitor.stored()))
    made = visitor.stored()
    drawn = [r["generation"]["prompt"] for r in reversed(made)]
    assert drawn == ["a knight", "a mage AND a tower", "a red owl"]
    assert sum(r["cost"] for r in made) == pytest.approx(price, abs=1e-6)
    labels = page.locator(".tile .label").all_inner_texts()
    assert labels == ["a knight", "a mage AND a tower", "a {red|red} owl"]


def test_only_the_line_that_is_typed_is_asked_for_again(visit):
    page = visit().page
    page.select_option("#template", "lines")
    page.fill("#prompt", "one\ntwo\nthree")
    expect(page.locator("#price")).to_contain_text("for 3")
    asked: list[str] = []
    page.on(
        "request", lambda r: r.url.endswith("/quote") and asked.append(r.post_data_json["prompt"])
    )
    page.fill("#prompt", "one\ntwo\nthree\nfour")
    expect(page.locator("#price")).to_contain_text("for 4")
    assert asked == ["four"]


def test_what_no_template_can_be_is_said_beside_the_prompt(visit):
    page = visit().page
    page.fill("#prompt", "a {red|blue owl")
    page.select_option("#template", "choices")
    expect(page.locator("#prompt-error")).to_contain_text("prompt")


def test_earlier_prompts_bring_back_templates_and_loras(visit):
    visitor = visit()
    page = visitor.page
    page.select_option("#template", "choices")
    page.fill("#prompt", "a {red|red} knight")
    visitor.draw(steps=2)
    stored = visitor.stored()
    stored[0]["generation"]["loras"] = [
        {"name": "fog", "sha256": "ab" * 32, "unet": 0.5, "text_encoder": 0.5}
    ]
    page.route(
        "**/api/requests?limit=200",
        lambda route: route.fulfill(body=json.dumps({"requests": stored, "next": None})),
    )
    page.select_option("#template", "")
    page.fill("#prompt", "something else")
    page.click("#history-open")
    expect(page.locator(".asked button")).to_contain_text("fog")
    page.click(".asked button")
    expect(page.locator("#prompt")).to_have_value("a {red|red} knight")
    expect(page.locator("#template")).to_have_value("choices")
    expect(page.locator("#extra")).to_contain_text("a LoRA")
    page.click("#notice button:has-text('Undo')")
    expect(page.locator("#template")).to_have_value("")
    expect(page.locator("#extra")).to_be_empty()


def test_styles_are_searched(visitor: Visitor):
    page = visitor.page
    page.click("#styles-open")
    page.get_by_label("Search: Styles").fill("MOONL")
    expect(page.locator("dialog .options button:visible")).to_have_text(["moonlit"])
    expect(page.locator("dialog h3:visible")).to_have_count(1)
    page.get_by_label("Search: Styles").fill("")
    expect(page.locator("dialog h3:visible")).to_have_count(8)
    page.click("dialog .primary")


def test_a_style_shows_what_was_drawn_in_it(visit):
    visitor = visit()
    page = visitor.page
    page.fill("#prompt", "a tower")
    page.click("#styles-open")
    page.click("dialog button[data-name='moonlit']")
    page.click("dialog .primary")
    visitor.draw(steps=2)
    page.click("#styles-open")
    page.hover("dialog button[data-name='moonlit']")
    expect(page.locator("dialog img")).to_have_attribute("alt", re.compile("a tower"))
    expect(page.locator("dialog img")).to_have_attribute("src", re.compile("^blob:"))
    page.focus("dialog button[data-name='gloomy']")
    expect(page.locator("dialog img")).to_have_attribute("alt", "")
    expect(page.locator("dialog img")).to_have_attribute("src", "data:,")


def test_back_leaves_no_dialog_over_another_place(visitor: Visitor):
    page = visitor.page
    page.click("#places a[href='#library']")
    page.click("#keys-open")
    expect(page.locator("dialog")).to_have_count(1)
    page.go_back()
    expect(page.locator("body")).to_have_attribute("data-place", "desk")
    expect(page.locator("dialog")).to_have_count(0)
