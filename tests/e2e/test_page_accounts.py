"""Several accounts in one browser: each has its own tray and library, and nothing goes astray."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.browser import Visitor, a_picture, drop
from tests.e2e.test_page_looks import faults
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

JOBS = "#tray .job"
STRIP = "#strip .thumb"


def go_over(page: Page, key: str) -> None:
    """Type another key into the dialog; the page begins anew with it."""
    page.click("#key-open")
    page.fill("#key", key)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.wait_for_selector("#price strong")


def go_back(page: Page) -> None:
    """Choose the only other key of this browser from its list."""
    page.click("#key-open")
    with page.expect_navigation():
        page.click(".other-keys button:has-text('Use artist')")
    page.wait_for_selector("#price strong")


@pytest.fixture
def two(visit, place):
    """A visitor who has drawn and has another drawing running, and somebody else's key."""
    visitor: Visitor = visit()
    visitor.page.fill("#prompt", "of the first")
    visitor.draw(steps=2)
    visitor.page.fill("#prompt", "still being drawn")
    visitor.begin()
    return visitor, place.make_key()


def test_one_goes_from_account_to_account_and_finds_the_tray_again(two, place):
    visitor, other = two
    page = visitor.page
    drop(page, a_picture())
    page.wait_for_selector("#source-panel img")
    go_over(page, other)
    expect(page.locator(JOBS)).to_have_count(0)
    expect(page.locator(STRIP)).to_have_count(0)
    expect(page.locator(".tile")).to_have_count(0)
    # What is on the desk is nobody's yet: it stays.
    expect(page.locator("#source-panel img")).to_be_visible()
    expect(page.locator("#prompt")).to_have_value("still being drawn")
    page.goto(place.url + "/#library")
    expect(page.locator("#grid img")).to_have_count(0)
    page.goto(place.url + "/#desk")
    go_back(page)
    expect(page.locator(JOBS)).to_contain_text("still being drawn")
    expect(page.locator(STRIP)).to_have_count(1)
    expect(page.locator("#key-open")).to_have_text("Key: artist")
    place.engine.release()
    expect(page.locator(STRIP)).to_have_count(2)
    expect(page.locator(JOBS)).to_have_count(0)
    with place.api(other) as api:
        assert api.get("/api/requests").json()["requests"] == []


def test_two_tabs_are_of_two_accounts(two, place):
    visitor, other = two
    page = visitor.page
    tab = page.context.new_page()
    tab.goto(place.url + "/")
    tab.wait_for_selector("#price strong")
    go_over(tab, other)
    tab.fill("#prompt", "of the second")
    tab.click("#draw")
    expect(tab.locator(JOBS)).to_have_count(1)
    place.engine.release()
    expect(tab.locator(STRIP)).to_have_count(1)
    expect(page.locator(STRIP)).to_have_count(2)
    expect(page.locator(f"{STRIP}[aria-label^='of the second']")).to_have_count(0)
    # Each keeps its own over a reload.
    page.reload()
    expect(page.locator(STRIP)).to_have_count(2)
    tab.reload()
    expect(tab.locator(STRIP)).to_have_count(1)
    # What one tab forgets, the other does not go on with.
    page.click("#key-open")
    page.click(".other-keys button:text-is('Forget')")
    expect(tab.locator("#welcome #key")).to_be_visible()
    expect(page.locator(STRIP)).to_have_count(2)
    tab.close()


def test_what_waits_for_a_place_goes_out_with_its_own_key_alone(visit, place):
    visitor: Visitor = visit()
    page, other = visitor.page, place.make_key()

    def full(route: Route) -> None:
        if route.request.method != "POST":
            return route.fallback()
        headers = {"retry-after": "1"}
        return route.fulfill(status=503, headers=headers, json={"error": "It is full."})

    page.route("**/api/requests", full)
    drop(page, a_picture(1024, 1024))
    page.wait_for_selector("#source-panel img")
    page.fill("#prompt", "waits")
    page.click("#draw")
    expect(page.locator("#draw-error")).to_contain_text("It is full.")
    go_over(page, other)
    page.unroute("**/api/requests")
    page.fill("#prompt", "of the other")
    visitor.draw(steps=2)
    go_back(page)
    wait_until(lambda: [r["generation"]["prompt"] for r in visitor.stored()] == ["waits"])
    with place.api(other) as api:
        [alone] = api.get("/api/requests").json()["requests"]
    assert alone["generation"]["prompt"] == "of the other"


def test_the_keys_of_the_browser_are_offered_where_none_is_in_use(visit, place):
    page = visit().page
    go_over(page, place.make_key())
    page.click("#key-open")
    page.click("#key-forget")
    page.wait_for_selector("#welcome #key")
    expect(page.locator("#welcome .other-keys li")).to_have_count(1)
    assert faults(page) == []
    with page.expect_navigation():
        page.click("#welcome .other-keys button:has-text('Use artist')")
    page.wait_for_selector("#price strong")
