"""Draw puts in line: several at once, each one click away, and nothing takes the desk."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import Playground, Visitor
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

JOBS = "#tray .job"


@pytest.fixture
def held(place: Playground):
    """No picture is done before ``place.engine.release()`` or the end of the test."""
    place.engine.hold()
    yield
    place.engine.release()


def line_up(visitor: Visitor, *prompts: str) -> None:
    for prompt in prompts:
        visitor.page.fill("#prompt", prompt)
        visitor.page.keyboard.press("Control+Enter")
    for prompt in prompts:
        expect(visitor.page.locator(JOBS, has_text=prompt)).to_have_count(1)


def test_several_wait_at_once_and_each_is_one_click_away(visitor: Visitor, place, held):
    page = visitor.page
    line_up(visitor, "the first", "the second", "the third")
    expect(page.locator(JOBS)).to_have_count(3)
    expect(page.locator(JOBS).first).to_contain_text("0.00")
    # The first stays on the stage; the focus stays in the prompt.
    expect(page.locator("#prompt")).to_be_focused()
    expect(page.locator(f"{JOBS} [aria-current=true]")).to_contain_text("the first")
    page.click(f"{JOBS}:has-text('the third') .job-open")
    expect(page.locator(f"{JOBS} [aria-current=true]")).to_contain_text("the third")
    page.click("[aria-label='Cancel: the second']")
    expect(page.locator(JOBS)).to_have_count(2)
    wait_until(lambda: "CANCELLED" in {request["status"] for request in visitor.stored()})
    place.engine.release()
    expect(page.locator(JOBS)).to_have_count(0)
    expect(page.locator("#strip .thumb[aria-label^='the first']")).to_have_count(1)
    expect(page.locator("#strip .thumb[aria-label^='the third']")).to_have_count(1)
    told = {r["generation"]["prompt"]: r["status"] for r in visitor.stored()}
    assert told["the second"] == "CANCELLED"


def test_a_double_click_orders_once(visitor: Visitor, held):
    page = visitor.page
    page.fill("#prompt", "twice")
    before = len(visitor.stored())
    page.dblclick("#draw")
    expect(page.locator(JOBS, has_text="twice")).to_have_count(1)
    wait_until(lambda: len(visitor.stored()) > before)
    assert len(visitor.stored()) == before + 1
    page.click("[aria-label='Cancel: twice']")
    expect(page.locator(JOBS)).to_have_count(0)


def test_draw_stays_where_it_is(visitor: Visitor, held):
    page = visitor.page
    button = page.locator("#draw").bounding_box()
    page.fill("#prompt", "unmoved")
    page.click("#draw")
    page.wait_for_selector(JOBS)
    assert page.locator("#draw").bounding_box() == pytest.approx(button, abs=1)
    page.click("#act-cancel")
    expect(page.locator(JOBS)).to_have_count(0)


def test_a_card_stays_where_it_is_while_its_words_change(visitor: Visitor, place, held):
    page = visitor.page
    line_up(visitor, "drawn meanwhile")
    wait_until(lambda: place.engine.gate.images)
    page.route("**/api/requests", lambda route: None)
    line_up(visitor, "one", "two")
    crosses = page.locator(f"{JOBS} .job-cancel")
    sending = [crosses.nth(i).bounding_box() for i in range(3)]
    assert all(min(box["width"], box["height"]) >= 24 for box in sending)  # WCAG 2.2, 2.5.8
    page.unroute("**/api/requests")  # which lets go of those that it held
    for i in range(3):
        expect(page.locator(JOBS).nth(i)).to_contain_text("0.00")  # its price, once it is accepted
    assert [crosses.nth(i).bounding_box() for i in range(3)] == sending
    for left in (2, 1, 0):
        crosses.first.click()
        expect(page.locator(JOBS)).to_have_count(left)


def test_another_tab_sees_what_this_one_draws(visitor: Visitor, place: Playground, held):
    other = visitor.page.context.new_page()
    other.goto(place.url + "/")
    other.wait_for_selector("#price strong")
    line_up(visitor, "seen from both")
    expect(other.locator(JOBS, has_text="seen from both")).to_have_count(1)
    # What stands on one desk is not put on the other.
    assert other.input_value("#prompt") != "seen from both"
    place.engine.release()
    expect(other.locator("#strip .thumb[aria-label^='seen from both']")).to_have_count(1)
    expect(other.locator(JOBS)).to_have_count(0)
    other.close()
    expect(visitor.page.locator(JOBS)).to_have_count(0)


def test_an_older_picture_is_looked_at_while_another_is_drawn(visitor: Visitor, place, held):
    page = visitor.page
    place.engine.release()
    page.fill("#prompt", "an older one")
    visitor.draw(steps=3)
    place.engine.hold()
    line_up(visitor, "a younger one")
    page.click("#strip .thumb[aria-label^='an older one']")
    seen = page.locator(".tile").get_attribute("aria-label")
    assert seen
    assert seen.startswith("an older one")
    place.engine.release()
    expect(page.locator(JOBS)).to_have_count(0)
    # What is done says so, and takes nobody's place.
    expect(page.locator("#announce")).to_contain_text("a younger one")
    assert page.locator(".tile").get_attribute("aria-label") == seen


def in_line(page) -> list[str]:
    return [text.split("\n")[0] for text in page.locator(f"{JOBS} b").all_inner_texts()]


def test_what_waits_changes_places_by_button_and_by_key(visitor: Visitor, held):
    page = visitor.page
    names = [f"number {n}" for n in range(6)]
    line_up(visitor, *names)
    # The engine has the first two or three: these stay where they are.
    page.click("[aria-label='Earlier: number 5']")
    wait_until(lambda: in_line(page)[3:] == ["number 3", "number 5", "number 4"])
    expect(page.locator("[aria-label='Earlier: number 5']")).to_be_focused()
    page.focus(f"{JOBS}:has-text('number 3') .job-open")
    page.keyboard.press("Shift+ArrowRight")
    wait_until(lambda: in_line(page)[3:] == ["number 5", "number 3", "number 4"])
    expect(page.locator(f"{JOBS}:has-text('number 3') .job-open")).to_be_focused()
    expect(page.locator("#announce")).to_have_text("Now behind: number 5")
    places = {r["generation"]["prompt"]: r["position"] for r in visitor.stored()[:6]}
    waiting = sorted((place, name) for name, place in places.items() if place)
    assert [name for _, name in waiting][-3:] == ["number 5", "number 3", "number 4"]
    for name in reversed(names):
        page.click(f"[aria-label='Cancel: {name}']")
    expect(page.locator(JOBS)).to_have_count(0)
