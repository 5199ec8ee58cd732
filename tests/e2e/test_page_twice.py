"""Double clicks: each is one order, and what moves under the second press is left alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from limner.store import keys
from tests.e2e.browser import Playground, Visitor
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

JOBS = "#tray .job"
STRIP = "#strip .thumb"


def test_on_cancel_the_next_card_is_left(visitor: Visitor, place: Playground):
    page = visitor.page
    place.engine.hold()
    for name in ("one", "two", "three"):
        page.fill("#prompt", f"number {name}")
        page.click("#draw")
        expect(page.locator(JOBS, has_text=f"number {name}")).to_have_count(1)
    page.locator(f"{JOBS} .job-cancel").first.dblclick()
    expect(page.locator(JOBS)).to_have_count(2)
    place.engine.release()
    expect(page.locator(JOBS)).to_have_count(0)
    told = [request["status"] for request in visitor.stored()[:3]]
    assert told == ["COMPLETED", "COMPLETED", "CANCELLED"]


def test_on_delete_the_next_picture_is_left(visitor: Visitor):
    page = visitor.page
    for name in ("a", "b", "c"):
        page.fill("#prompt", f"picture {name}")
        visitor.draw(steps=20)
    before = page.locator(STRIP).count()
    page.locator(STRIP).first.click()
    page.dblclick("#act-delete")
    expect(page.locator(STRIP)).to_have_count(before - 1)
    page.dblclick("#notice button:text-is('Undo')")
    expect(page.locator(STRIP)).to_have_count(before)


@pytest.mark.parametrize("id", ["vary", "replay"])
def test_what_spends_is_ordered_once(visitor: Visitor, id):
    page = visitor.page
    page.fill("#prompt", f"to {id} once")
    visitor.draw(steps=20)
    before = len(visitor.stored())
    page.dblclick(f"#act-{id}")
    wait_until(lambda: len(visitor.stored()) > before)
    visitor.wait_until_drawn()
    assert len(visitor.stored()) == before + 1


def test_a_grid_is_drawn_once_and_a_file_is_saved_once(visitor: Visitor):
    page = visitor.page
    page.fill("#prompt", "a grid drawn once")
    page.click("#grid-open")
    page.fill("#grid-x-numbers", "20, 21")
    expect(page.locator("#grid-draw")).to_be_enabled()
    before = len(visitor.stored())
    page.dblclick("#grid-draw")
    visitor.wait_until_drawn()
    assert len(visitor.stored()) == before + 2
    saved: list[object] = []
    page.on("download", lambda download: saved.append(download))
    with page.expect_download():
        page.dblclick("#act-sheet")
    page.click("#places a:text-is('Library')")
    page.locator("#grid .cell input").first.check()
    with page.expect_download():
        page.dblclick("#chosen-zip")
    page.dblclick("#chosen-none")
    assert len(saved) == 2
    page.click("#places a:text-is('Desk')")


def test_a_key_is_made_once_and_credits_are_given_once(visit, place: Playground):
    with place.database.begin() as conn:
        boss = keys.create(conn, name="boss", scopes=["admin", "draw", "read"])[0]
    page = _enter(visit, place, boss)
    page.click("#to-house")
    page.click("#key-new")
    page.fill("dialog [name=name]", "made once")
    asked = _held(page, "**/api/admin/keys")
    page.dblclick("dialog button.primary")
    page.click("dialog button.primary")  # slowly, while the first is on its way
    _let_go(page, asked)
    page.click("dialog button:text-is('Close')")
    row = page.locator("#house-keys tr", has_text="made once")
    expect(row).to_have_count(1)
    row.locator("button").click()
    page.fill("dialog [name=grant]", "2")
    asked = _held(page, "**/api/admin/credits")
    page.dblclick("dialog button.primary")
    page.click("dialog button.primary")
    _let_go(page, asked)
    expect(page.locator("dialog")).to_have_count(0)
    expect(row).to_contain_text("12")
    with place.api(boss) as api:
        [made] = [k for k in api.get("/api/admin/keys").json()["keys"] if k["name"] == "made once"]
    assert float(made["available"]) == 12


def _held(page: Page, pattern: str) -> list[Route]:
    """Posts to an address, each held until ``_let_go``."""
    held: list[Route] = []
    page.route(pattern, lambda r: held.append(r) if r.request.method == "POST" else r.fallback())
    return held


def _let_go(page: Page, held: list[Route]) -> None:
    wait_until(lambda: page.evaluate("1") and held)
    assert len(held) == 1
    held[0].continue_()
    page.unroute_all()


def _enter(visit, place: Playground, key: str) -> Page:
    visitor = visit(key=None)
    visitor.page.fill("#key", key)
    visitor.page.keyboard.press("Enter")
    return visitor.page
