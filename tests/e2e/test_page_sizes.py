"""The same day on five screens, by mouse, by touch and by keyboard alone.

Everything is reached, nothing is wider than the screen, and what is pressed is large enough.
"""

from __future__ import annotations

import time
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Locator, expect
from sqlalchemy import update

from limner.store import keys, schema
from tests.e2e.browser import Playground, Visitor
from tests.e2e.hands import Fingers, Keyboard, Mouse
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

PHONE = {"has_touch": True, "is_mobile": True}
SCREENS = {
    "phone": (Fingers, {"viewport": {"width": 390, "height": 844}, **PHONE}),
    "phone sideways": (Fingers, {"viewport": {"width": 844, "height": 390}, **PHONE}),
    "tablet": (Fingers, {"viewport": {"width": 820, "height": 1180}, **PHONE}),
    "laptop": (Mouse, {"viewport": {"width": 1300, "height": 850}}),
    "keyboard": (Keyboard, {"viewport": {"width": 1300, "height": 850}}),
    "large": (Mouse, {"viewport": {"width": 2560, "height": 1440}}),
}
OLD = 20  # pictures that are there before
TEN = 10
TARGET_MIN, TOUCHED_MIN = 24, 36  # CSS pixels; 24 is WCAG 2.2, 2.5.8

# What can be pressed, is there to be seen, and is smaller than it should be.
SMALL = """least => [...document.querySelectorAll(
  "button, summary, select, .button, nav a, input:not(.sr)")]
  .filter((node) => node.checkVisibility({ opacityProperty: true }) && !node.disabled)
  .map((node) => [node, (node.closest("label") ?? node).getBoundingClientRect()])
  .filter(([, { width, height }]) => Math.min(width, height) < least - 0.5)
  .map(([node, { width, height }]) => `${node.outerHTML.slice(0, 80)}: ${width} x ${height}`)
"""
WIDER = """Math.max(...[...document.querySelectorAll("html, dialog[open]")].map(
  (node) => node.scrollWidth - node.clientWidth))"""


class Walk:
    """A page, and the hands on it."""

    def __init__(self, visitor: Visitor, hands: Mouse) -> None:
        self.visitor, self.page, self.hands = visitor, visitor.page, hands

    def named(self, role: str, name: str) -> Locator:
        return self.page.get_by_role(role, name=name, exact=True).first  # type: ignore[arg-type]

    def press(self, role: str, name: str, done=None) -> None:
        self.hands.press(self.named(role, name), done)

    def go(self, place: str) -> None:
        self.press("link", place, lambda: self.page.url.endswith(f"#{place.lower()}"))

    def look(self, where: str) -> None:
        least = TOUCHED_MIN if self.hands.touches else TARGET_MIN
        assert (where, self.page.evaluate(SMALL, least)) == (where, [])
        assert self.page.evaluate(WIDER) <= 0, where


@pytest.fixture(params=SCREENS)
def walk(visit, place: Playground, request) -> Walk:
    """A page with twenty pictures in its library, one of them two days old."""
    hands, screen = SCREENS[request.param]
    place.slow_down(0.001)
    with place.database.begin() as conn:
        scopes = ["admin", "draw", "read"]
        key = keys.create(conn, name="artist", scopes=scopes, credits_micro=10**8)[0]
    with place.api(key) as api:
        for n in range(OLD // 4):
            body = {"prompt": f"old {n}", "samples": 4, "num_inference_steps": 20, "base64": True}
            assert api.post("/v1/sd1.5-rpg", json=body).status_code == 200
        oldest = api.get("/api/pictures").json()["pictures"][-1]["id"]
    moment = time.time() - timedelta(days=2).total_seconds()
    with place.database.begin() as conn:
        query = update(schema.pictures).where(schema.pictures.c.id == oldest)
        conn.execute(query.values(created_at=moment))
    visitor = visit(key=key, **screen)
    expect(visitor.page.locator("#strip .thumb").first).to_be_visible()
    visitor.set_steps(20)
    return Walk(visitor, hands(visitor.page))


@pytest.mark.timeout(300)
def test_a_day_of_an_artist_who_is_the_operator_too(walk: Walk, place: Playground):
    draw_ten_while_browsing(walk, place)
    find_an_old_one(walk)
    compare_two(walk)
    export_twenty(walk)
    vary(walk)
    look_closely(walk)
    inpaint(walk)
    make_a_key_and_revoke_it(walk, place)


def draw_ten_while_browsing(walk: Walk, place: Playground) -> None:
    page, jobs, detail = walk.page, walk.page.locator("#tray .job"), walk.page.locator("#detail")
    walk.look("desk")
    place.engine.hold()
    for n in range(TEN):
        walk.hands.write(walk.named("textbox", "Prompt"), f"heron {n}")
        walk.hands.draw(lambda n=n: jobs.count() == n + 1)
    walk.look("ten in line")
    walk.go("Library")
    cell = page.locator("#grid .cell > button").first
    walk.hands.press(cell, page.locator("#detail-desk").is_visible)
    walk.look("a picture of the library")
    walk.hands.press(detail.get_by_label("Close"), detail.is_hidden)
    place.engine.release()
    expect(jobs).to_have_count(0)
    expect(page.locator("#library-count")).to_have_text(f"{OLD + TEN} pictures")


def find_an_old_one(walk: Walk) -> None:
    page, until = walk.page, walk.page.locator("#search [name=until]")
    walk.hands.press(page.locator("#search summary"), until.is_visible)
    walk.hands.pick_date(until, f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}")
    expect(page.locator("#library-count")).to_have_text("1 picture")
    walk.look("an old one")
    walk.press("button", "Clear")
    expect(page.locator("#library-count")).to_have_text(f"{OLD + TEN} pictures")
    walk.hands.press(page.locator("#search summary"), until.is_hidden)


def boxes(walk: Walk, number: int) -> list[Locator]:
    return [walk.page.locator(f"#grid .cell[data-at='{n}'] input") for n in range(number)]


def compare_two(walk: Walk) -> None:
    page = walk.page
    walk.hands.choose(boxes(walk, 2))
    slider = walk.named("slider", "How much of the first picture is seen")
    walk.hands.press(page.locator("#chosen-compare"), slider.is_visible)
    walk.look("compare")
    seen = page.locator("dialog").bounding_box(), slider.bounding_box()
    assert seen[0]["y"] + seen[0]["height"] > seen[1]["y"] + seen[1]["height"]
    walk.hands.slide_to_end(slider)
    wait_until(lambda: float(slider.input_value()) > 95)
    walk.press("button", "Close", lambda: not slider.is_visible())
    walk.press("button", "Select none", page.locator("#chosen").is_hidden)


def export_twenty(walk: Walk) -> None:
    page = walk.page
    walk.hands.choose(boxes(walk, 20))
    expect(page.locator("#chosen [role=status]")).to_have_text("20 selected")
    walk.look("twenty chosen")
    with page.expect_download() as download:
        walk.hands.press(page.locator("#chosen-zip"))
    with zipfile.ZipFile(download.value.path()) as file:
        assert len([name for name in file.namelist() if name.endswith(".png")]) == 20


def vary(walk: Walk) -> None:
    walk.go("Desk")
    tiles = walk.page.locator(".tile")
    walk.hands.press(walk.page.locator("#act-vary"), lambda: tiles.count() == 4)
    walk.visitor.wait_until_drawn()
    walk.look("varied")


def look_closely(walk: Walk) -> None:
    viewer = walk.page.locator(".viewer")
    walk.hands.press(walk.page.locator(".tile").first, viewer.is_visible)
    walk.look("the viewer")
    walk.hands.press(viewer.get_by_role("button", name="Close"), lambda: viewer.count() == 0)


def inpaint(walk: Walk) -> None:
    page, canvas = walk.page, walk.page.locator("canvas.paint")
    walk.hands.press(page.locator("#act-input"), page.locator("#mask-open").is_visible)
    walk.look("a source")
    walk.hands.press(page.locator("#mask-open"), canvas.is_visible)
    walk.hands.paint(canvas)
    walk.look("the painter")
    walk.hands.press(page.locator("#mask-done"), canvas.is_hidden)
    before = len(walk.visitor.stored())
    walk.hands.draw(lambda: len(walk.visitor.stored()) > before)
    walk.visitor.wait_until_drawn()
    assert walk.visitor.stored()[0]["generation"]["source"]["mask_sha256"]


def make_a_key_and_revoke_it(walk: Walk, place: Playground) -> None:
    page, revoke = walk.page, walk.page.locator("#key-revoke")
    walk.go("House")
    name = page.locator("dialog [name=name]")
    walk.hands.press(page.locator("#key-new"), name.is_visible)
    walk.look("a new key")
    whose = f"guest {time.time_ns()}"
    walk.hands.write(name, whose)
    walk.press("button", "Make it", page.locator("#secret").is_visible)
    secret = page.locator("#secret").inner_text()
    walk.press("button", "Close", page.locator("#secret").is_hidden)
    with place.api(secret) as guest:
        assert guest.post("/v1/sd1.5-rpg", json={"prompt": "x"}).status_code == 200
    walk.go("Library")
    walk.go("House")
    row = page.locator("#house-keys tr", has_text=whose)
    expect(row).to_contain_text("1 picture")
    walk.hands.press(row.locator("button"), revoke.is_visible)
    walk.look("a key")
    walk.hands.press(revoke, lambda: "for good" in revoke.inner_text())
    walk.hands.press(revoke, revoke.is_hidden)
    expect(row).to_contain_text("revoked")
    with place.api(secret) as guest:
        assert guest.get("/api/key").status_code == 401
