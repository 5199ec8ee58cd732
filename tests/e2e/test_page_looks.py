"""The playground for everybody: accessibility, phones, light and dark, nothing from elsewhere."""

from __future__ import annotations

from contextlib import suppress

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.browser import Playground, a_picture, drop
from tests.waiting import LONG_S

pytestmark = pytest.mark.slow


def faults(page) -> list[str]:
    """What axe finds serious."""
    found = Axe().run(page).response
    assert len(found["passes"]) > 10
    return [
        f"{v['id']}: {v['help']}"
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.slow
def test_axe_finds_no_serious_fault(visit, scheme):
    assert faults(visit(key=None, color_scheme=scheme).page) == []
    visitor = visit(color_scheme=scheme)
    page = visitor.page
    page.fill("#prompt", "a [wolf:stag:0.5] in (mist:1.3), <hypernet:fog:1> moon AND a castle")
    visitor.draw()
    drop(page, a_picture())
    page.fill("#seed", "abc")
    expect(page.locator("[data-field=seed] .error")).to_be_visible()
    assert faults(page) == []
    for button in (
        "#styles-open",
        "#keys-open",
        "#key-open",
        "#sheet-open",
        "#grid-open",
        "#history-open",
        "#names-open",
        "#act-larger",
        "#act-copy",
        "#act-receipt",
        ".tile",
        "#mask-open",
    ):
        page.click(button)
        page.wait_for_selector("dialog[open], .mask")
        assert (button, faults(page)) == (button, [])
        page.keyboard.press("Escape")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault_where_little_is_there(visit, place: Playground, scheme):
    """The empty library, a search that is refused, what cannot be paid, and no server."""
    page = visit(key=place.make_key(1000), color_scheme=scheme).page
    page.click("#draw")
    expect(page.locator("#draw-error")).to_contain_text("Insufficient credits")
    assert faults(page) == []
    page.click("#places a:text-is('Library')")
    expect(page.locator("#library-count")).to_contain_text("Nothing yet")
    assert faults(page) == []
    page.click("summary:text-is('More')")
    page.fill("#search [name=size]", "large")
    expect(page.locator("#search-error")).to_contain_text("size is")
    assert faults(page) == []
    page.click("#places a:text-is('Desk')")
    page.route("**/api/requests", lambda route: route.abort("connectionrefused"))
    page.click("#draw")
    expect(page.locator("#draw-error")).to_contain_text("idempotency key")
    expect(page.locator("#tray .job")).to_have_count(1)
    assert faults(page) == []


RING = """() => {
  const at = document.activeElement;
  const near = [at, at.closest("label"), ...at.parentElement.querySelectorAll("label")];
  return near.some((node) => node && getComputedStyle(node).outlineStyle !== "none");
}"""


@pytest.mark.slow
def test_the_focus_is_seen_wherever_tab_leads(visit):
    page = visit().page
    page.focus("#prompt")
    for _ in range(60):
        where = page.evaluate("document.activeElement.outerHTML.slice(0, 120)")
        assert page.evaluate(RING), where
        if 'id="theme"' in where:
            return
        page.keyboard.press("Tab")
    pytest.fail(f"Tab ends at {where}")


def touch(page: Page, target: str, shown: str) -> None:
    """Tap until what it shows is there: on a machine that stands still meanwhile, a tap of more
    than half a second is a long press, and no click."""
    for _ in range(10):
        page.tap(target)
        with suppress(AssertionError):
            return expect(page.locator(shown)).to_be_visible(timeout=LONG_S * 100)
    pytest.fail(f"tapping {target} shows no {shown}")


@pytest.mark.slow
def test_on_a_phone(visit):
    visitor = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = visitor.page
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator("#steps").is_hidden()
    draw = page.locator("#draw").bounding_box()
    assert 0 < draw["y"] < 844 - draw["height"]
    touch(page, "#draw", "#act-replay")
    visitor.wait_until_drawn()
    order = [
        page.locator(part).bounding_box()["y"]
        for part in ("#stage", "#prompt", "#controls", "#strip")
    ]
    assert order == sorted(order)
    assert faults(page) == []
    touch(page, "#controls > summary", "#steps")
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.slow
def test_nothing_leaves_for_other_hosts_and_no_key_stands_in_a_url(visit, place: Playground):
    visitor = visit()
    urls: list[str] = []
    visitor.page.on("request", lambda request: urls.append(request.url))
    visitor.page.reload()
    visitor.draw()
    assert len(urls) > 20
    for url in urls:
        assert url.startswith((place.url, "blob:", "data:")), url
        assert visitor.key not in url
