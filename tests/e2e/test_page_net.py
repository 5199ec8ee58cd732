"""The page where the network is slow or plain, and the balance at its ends."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, Route, expect

from limner.store import keys, ledger
from limner.store.schema import AMOUNT_MAX_MICRO
from tests.e2e.browser import LAN, Playground, Visitor, a_picture, drop
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

JOBS = "#tray .job"
SLOW = {"offline": False, "latency": 600, "downloadThroughput": 60_000, "uploadThroughput": 30_000}


def slow_down(page: Page) -> None:
    """A telephone's network far from the next mast: every answer takes most of a second."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", SLOW)


def test_on_a_slow_network_the_page_answers_at_once(visit, place: Playground):
    visitor: Visitor = visit()
    page = visitor.page
    slow_down(page)
    page.fill("#prompt", "from far away")
    visitor.set_steps(20)
    page.click("#draw")
    # Before any answer: its card and its place are there, and the desk is free.
    said = page.evaluate("document.querySelector('#tray .job b')?.textContent")
    assert said == "from far away"
    assert page.locator("#draw").is_enabled()
    page.fill("#prompt", "typed meanwhile")
    visitor.wait_until_drawn()
    assert page.input_value("#prompt") == "typed meanwhile"
    assert [r["generation"]["prompt"] for r in visitor.stored()] == ["from far away"]
    page.click("#places a:text-is('Library')")
    expect(page.locator("#grid .cell img")).to_have_count(1)
    page.reload()
    expect(page.locator("#grid .cell img")).to_have_count(1)


@dataclass
class Overtaken:
    """Holds the first answer to an address until ``let_go``; what comes later is answered."""

    page: Page
    pattern: str
    held: Route | None = None
    passed: int = 0

    def __post_init__(self) -> None:
        self.page.route(self.pattern, self._route)

    def _route(self, route: Route) -> None:
        if self.held is None:
            self.held = route
        else:
            self.passed += 1
            route.continue_()

    def let_go(self) -> None:
        assert self.held is not None
        with self.page.expect_response(self.pattern):
            self.held.continue_()
        self.page.unroute(self.pattern)
        self.page.evaluate("new Promise((resolve) => setTimeout(resolve))")


def until(page: Page, condition) -> None:
    """Wait for what routes have seen; the page's events are heard meanwhile."""
    wait_until(lambda: page.evaluate("1") and condition())


def test_an_answer_that_was_overtaken_changes_nothing(visit):
    """A price, a word count and a search, each asked twice: the later one stands."""
    visitor: Visitor = visit()
    page = visitor.page
    visitor.draw()
    for pattern, ask, shown in (
        ("**/api/quote", lambda n: visitor.set_steps(30 * n), "#price"),
        ("**/api/explain", lambda n: page.fill("#prompt", "a fox " * n), "#prompt-count"),
    ):
        answers = Overtaken(page, pattern)
        ask(1)
        until(page, lambda answers=answers: answers.held)
        before = page.locator(shown).inner_text()
        ask(4)
        expect(page.locator(shown)).not_to_have_text(before)
        stands = page.locator(shown).inner_text()
        answers.let_go()
        assert page.locator(shown).inner_text() == stands
    page.click("#places a:text-is('Library')")
    expect(page.locator("#grid .cell")).to_have_count(1)
    answers = Overtaken(page, "**/api/pictures?*q=*")
    page.fill("#search [name=q]", "knight")
    until(page, lambda: answers.held)
    page.fill("#search [name=q]", "nothing of the kind")
    expect(page.locator("#library-count")).to_have_text("Nothing like that.")
    answers.let_go()
    expect(page.locator("#grid .cell")).to_have_count(0)


@pytest.fixture
def lan(visit, place: Playground):
    """A visitor who comes by http to a name of the local network."""
    visitor: Visitor = visit(key=None)
    page = visitor.page
    _, port = place.url.rsplit(":", 1)
    page.goto(f"http://{LAN}:{port}/")
    visitor.key = place.make_key()
    page.fill("#key", visitor.key)
    page.keyboard.press("Enter")
    page.wait_for_selector("#price strong")
    yield visitor
    # The browser itself says that it heeds no such header here; the page can do nothing about it.
    visitor.complaints = [text for text in visitor.complaints if "Opener-Policy" not in text]


def test_http_in_a_local_network_lacks_nothing(lan: Visitor):
    page = lan.page
    assert page.evaluate(
        "[isSecureContext, typeof crypto.randomUUID, typeof navigator.clipboard]"
    ) == [False, "undefined", "undefined"]
    page.fill("#prompt", "by way of the cable")
    lan.draw()
    drop(page, a_picture())
    page.wait_for_selector("#source-panel img")
    lan.draw()
    page.click("#act-receipt")
    page.evaluate(
        "document.addEventListener('copy', () => { window.copied = String(getSelection()) || "
        "document.activeElement.value }, { once: true })"
    )
    page.click("dialog button:text-is('Copy')")
    expect(page.locator("dialog [role=status]")).to_contain_text("Copied")
    assert json.loads(page.evaluate("window.copied"))["parameters"]["source"]["strength"] > 0
    page.keyboard.press("Escape")
    page.click("#places a:text-is('Library')")
    expect(page.locator("#grid .cell img")).to_have_count(2)
    page.locator("#grid .cell input").first.check()
    with page.expect_download() as download:
        page.click("#chosen-zip")
    with zipfile.ZipFile(download.value.path()) as file:
        assert len(file.namelist()) == 2
    # The source of what was drawn is there after a reload, too.
    page.goto(page.url.replace("#library", "#desk"))
    page.reload()
    page.wait_for_selector("#source-panel img")


PRICE_MICRO = 2560  # of a picture in 20 steps


def test_an_empty_balance_draws_nothing_and_shows_everything(visit, place: Playground):
    visitor: Visitor = visit(key=place.make_key(PRICE_MICRO))
    page = visitor.page
    visitor.draw()
    expect(page.locator("#credits")).to_have_text("0 credits left")
    expect(page.locator("#draw")).to_contain_text("not enough left")
    page.click("#draw")
    expect(page.locator("#draw-error")).to_contain_text("Insufficient credits")
    expect(page.locator("#draw-error")).to_contain_text("the price 0.00256. The operator")
    for spends in ("vary", "replay"):
        page.click(f"#act-{spends}")
        told = {"vary": "#draw-error", "replay": "#finding .error"}[spends]
        expect(page.locator(told)).to_contain_text("Insufficient credits")
        expect(page.locator(".tile img")).to_have_count(1)
    expect(page.locator(JOBS)).to_have_count(0)
    assert len(visitor.stored()) == 1
    # What costs nothing goes on.
    page.click("#places a:text-is('Library')")
    page.locator("#grid .cell input").check()
    page.click("#chosen-star")
    expect(page.locator("#grid .starred")).to_have_count(1)
    with page.expect_download():
        page.click("#chosen-zip")
    with place.database.begin() as conn:
        known = keys.authenticate(conn, visitor.key)
        ledger.grant(conn, known.account_id, PRICE_MICRO, id="more")
    page.click("#places a:text-is('Desk')")
    page.click("#draw")
    wait_until(lambda: len(visitor.stored()) == 2)
    expect(page.locator("#draw-error")).to_be_hidden()


def test_a_refusal_stands_when_an_earlier_request_is_taken(visit, place: Playground):
    page = visit().page
    place.engine.hold()
    earlier = Overtaken(page, "**/api/requests")
    page.click("#draw")
    until(page, lambda: earlier.held)
    page.route(earlier.pattern, lambda r: r.fulfill(status=418, json={"error": "No tea."}))
    page.click("#draw")
    expect(page.locator("#draw-error")).to_have_text("No tea.")
    earlier.let_go()
    expect(page.locator("#tray .job")).to_contain_text("next")
    expect(page.locator("#draw-error")).to_be_visible()
    place.engine.release()


def test_the_largest_balance_is_told_to_the_last_digit(visit, place: Playground):
    visitor: Visitor = visit(key=place.make_key(AMOUNT_MAX_MICRO))
    page = visitor.page
    whole = f"{AMOUNT_MAX_MICRO // 10**6:,}"
    expect(page.locator("#credits")).to_have_text(f"{whole} credits left")
    visitor.draw()
    [drawn] = visitor.stored()
    left = AMOUNT_MAX_MICRO - round(drawn["cost"] * 10**6)
    told = f"{left // 10**6:,}.{left % 10**6:06}".rstrip("0")
    expect(page.locator("#credits")).to_have_text(f"{told} credits left")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1300
