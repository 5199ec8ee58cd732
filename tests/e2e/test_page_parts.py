"""Regions and followed pictures on the desk: what is set is what is sent, priced and put back."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.browser import Visitor, a_picture
from tests.e2e.test_page_looks import faults
from tests.e2e.test_page_pictures import sent
from tests.waiting import wait_until

pytestmark = pytest.mark.slow
NET = {"name": "edges", "kind": "controlnet", "usable": True, "sha256": "0" * 64}


def hear(page: Page, condition: Callable[[], bool]) -> None:
    """Wait until it is true; routes answer only while the page is spoken to."""
    wait_until(lambda: page.evaluate("true") and condition())


def followed(asked: list[dict]) -> dict:
    """What is followed first by the newest of these bodies; nothing where there is none yet."""
    return (asked[-1].get("controls") or [{}])[0] if asked else {}


def add_region(page: Page, prompt: str) -> None:
    page.click("#region-add")
    page.keyboard.type(prompt)


def test_regions_are_priced_sent_kept_and_put_back(visit):
    visitor = visit()
    page, bodies = visitor.page, sent(visitor.page)
    page.fill("#prompt", "a tavern")
    visitor.set_steps(4)
    alone = page.locator("#price strong").inner_text()
    add_region(page, "a knight")
    add_region(page, "an elf")
    add_region(page, " ")
    page.get_by_label("Height % of region 2").fill("60")
    expect(page.locator("#region-plan span")).to_have_count(3)
    expect(page.locator("#price strong")).not_to_have_text(alone)
    assert faults(page) == []
    page.reload()
    page.wait_for_selector("#price strong")
    page.click("[aria-label='Without region 3']")
    expect(page.locator("#region-add")).to_be_focused()
    page.click("#draw")
    visitor.wait_until_drawn()
    wanted = [
        {"prompt": "a knight", "box": [0, 0, 0.5, 1], "weight": 1},
        {"prompt": "an elf", "box": [0.5, 0, 0.5, 0.6], "weight": 1},
    ]
    assert bodies[-1]["regions"] == wanted
    assert [r["prompt"] for r in visitor.stored()[0]["generation"]["regions"]] == [
        "a knight",
        "an elf",
    ]
    page.click("[aria-label='Without region 2']")
    page.click("[aria-label='Without region 1']")
    page.click("#act-settings")
    expect(page.get_by_label("Region 2: what is drawn there")).to_have_value("an elf")
    page.get_by_label("Width % of region 1").fill("90")
    page.get_by_label("Left % of region 1").fill("40")
    page.click("#draw")
    # What the server refuses stands beside the field.
    expect(page.locator("[data-field=regions] .error")).to_be_visible()


def test_a_picture_is_followed_as_the_desk_says(visitor: Visitor):
    page = visitor.page
    asked: list[dict] = []

    def answer(route: Route) -> None:
        asked.append(json.loads(route.request.post_data or "{}"))
        route.fulfill(status=400, json={"error": "controls[0].weight is told of in the test"})

    page.route("**/api/models", lambda route: route.fulfill(json=[NET]))
    page.route("**/api/quote", answer)
    page.fill("#prompt", "a knight")
    file = {"name": "edges.png", "mimeType": "image/png", "buffer": a_picture()}
    page.set_input_files("#guide-file", file)  # type: ignore[arg-type]
    page.get_by_label("Map of picture 1").select_option("canny")
    page.get_by_label("Weight of picture 1").fill("0.8")
    page.get_by_label("Until of picture 1").fill("0.5")
    expect(page.locator("[data-field=controls] .error")).to_contain_text("told of in the test")
    assert faults(page) == []
    hear(page, lambda: followed(asked).get("end") == 0.5)
    [control] = asked[-1]["controls"]
    assert control.pop("image").startswith("data:image/png;base64,")
    assert control == {
        "name": "edges",
        "preprocessor": "canny",
        "weight": 0.8,
        "start": 0,
        "end": 0.5,
    }
    page.click("[aria-label='Without picture 1']")
    expect(page.locator("#guides li")).to_have_count(0)
    page.unroute("**/api/quote")
    page.unroute("**/api/models")


def test_without_a_net_nothing_is_followed_and_it_is_said(visitor: Visitor):
    page = visitor.page
    page.route("**/api/models", lambda route: route.fulfill(json=[]))
    page.reload()
    page.wait_for_selector("#price strong")
    file = {"name": "edges.png", "mimeType": "image/png", "buffer": a_picture()}
    page.set_input_files("#guide-file", file)  # type: ignore[arg-type]
    expect(page.locator("[data-field=controls] .error")).to_contain_text("has no ControlNet")
    expect(page.locator("#guides li")).to_have_count(0)
    page.unroute("**/api/models")


def test_the_second_pass_says_by_what_and_how_much(visitor: Visitor):
    page, bodies = visitor.page, sent(visitor.page)
    page.fill("#prompt", "a castle")
    visitor.set_steps(3)
    expect(page.locator("#hires-upscaler")).to_be_hidden()
    expect(page.locator("#hires-strength")).to_be_hidden()
    page.select_option("#hires", "1.5")
    expect(page.locator("#price strong")).not_to_be_empty()
    page.click("#draw")
    visitor.wait_until_drawn()
    assert bodies[-1]["hires"] == "1.5"
    page.select_option("#hires-upscaler", "Scale2x")
    page.locator("#hires-strength").fill("0.5")
    page.click("#draw")
    visitor.wait_until_drawn()
    assert bodies[-1]["hires"] == {"scale": 1.5, "upscaler": "Scale2x", "strength": 0.5}
    page.select_option("#hires", "")
    expect(page.locator("#hires-upscaler")).to_be_hidden()
    page.click("#draw")
    expect(page.locator("#tray .job")).to_have_count(0)
    # What belongs to a pass that is off is not sent, and not lost.
    assert "hires" not in json.dumps(bodies[-1])
    page.click("#act-settings")
    expect(page.locator("#hires")).to_have_value("")
    newest = visitor.stored()[1]["generation"]["hires"]
    assert (newest["upscaler"], newest["strength"]) == ("Scale2x", 0.5)
    page.locator("#strip .thumb").nth(1).click()
    page.click("#act-settings")
    expect(page.locator("#hires-upscaler")).to_have_value("Scale2x")
    expect(page.locator("#hires-strength")).to_have_value("0.5")
    page.select_option("#hires", "")


def test_what_the_server_has_no_more_is_told(visitor: Visitor):
    page = visitor.page
    page.fill("#prompt", "a castle")
    visitor.draw(steps=2)

    def answer(route: Route) -> None:
        receipt = route.fetch().json()
        mask, box = {"prompt": "a moon", "mask_sha256": "0" * 64}, [0, 0, 0.5, 1]
        parts = [mask, {"prompt": "an elf", "box": box, "weight": 1}]
        receipt["parameters"] |= {"regions": parts, "controls": [{"name": "edges"}]}
        route.fulfill(json=receipt)

    page.route("**/api/receipts/*", answer)
    page.click("#act-settings")
    expect(page.locator("#notice")).to_contain_text(
        "Without the pictures that it followed and its regions that are masks"
    )
    expect(page.locator("#regions li")).to_have_count(1)
    expect(page.get_by_label("Region 1: what is drawn there")).to_have_value("an elf")
    page.click("[aria-label='Without region 1']")
    page.unroute("**/api/receipts/*")
