"""The library: a place of its own, a grid that holds only what is in sight, and thumbnails."""

from __future__ import annotations

from functools import partial

import pytest
from playwright.sync_api import Route, expect

from tests.e2e.browser import Visitor


def many(number: int, route: Route) -> None:
    """Answers for a server with so many pictures, page by page, newest first."""
    url = route.request.url
    if "unfinished" in url:
        return route.fulfill(json={"requests": [], "next": None})
    limit = int(url.partition("limit=")[2].partition("&")[0])
    start = number - int(url.partition("before=")[2] or number)
    found = [_request(number - n) for n in range(start, min(start + limit, number))]
    rest = number - start - limit
    return route.fulfill(json={"requests": found, "next": str(rest) if rest > 0 else None})


def _request(n: int) -> dict:
    picture = {"id": f"pic_{n}", "index": 0, "seed": n, "width": 512, "height": 512}
    generation = {"prompt": f"picture {n}", "steps": 20, "scheduler": "UniPC", "guidance": 4}
    common = {"surface": "native", "cost": 0, "created_at": "2026-01-01T00:00:00Z", "lines": []}
    return {"request_id": f"req_{n}", "generation": generation, "pictures": [picture], **common}


def test_the_places_have_addresses_and_back_goes_between_them(visitor: Visitor):
    page = visitor.page
    page.goto(visitor.place.url + "/")
    page.reload()
    page.wait_for_selector("#price strong")
    page.fill("#prompt", "for the library")
    visitor.draw(steps=2)
    page.click("#places a:text-is('Library')")
    assert page.url.endswith("#library")
    cell = page.locator("#grid .cell[aria-label^='for the library']")
    expect(cell.locator("img")).to_have_count(1)
    side = cell.locator("img").evaluate(
        "async node => { await node.decode(); return node.naturalWidth }"
    )
    assert side == 256
    expect(page.locator("#desk")).to_be_hidden()
    page.go_back()
    expect(page.locator("#desk")).to_be_visible()
    page.go_forward()
    cell.click()
    expect(page.locator("#desk")).to_be_visible()
    assert page.url.endswith("#desk")


@pytest.mark.parametrize("number", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_many_pictures_keep_few_nodes(visitor: Visitor, number):
    page = visitor.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.route("**/api/requests?*", partial(many, number))
    page.route("**/api/pictures/**", lambda route: route.abort())
    page.goto(page.url.partition("#")[0] + "#library")
    page.reload()
    expect(page.locator("#grid .cell").first).to_be_visible()
    lists = [url for url in asked if "/api/requests?" in url]
    assert len(lists) <= 6, lists
    for _ in range(number // 333):
        page.locator("#library").evaluate("node => { node.scrollTop = node.scrollHeight }")
        assert page.locator("#grid *").count() <= 400
    expect(page.locator("#library-count")).to_contain_text("pictures")
    assert page.evaluate("document.querySelectorAll('#strip *').length") <= 400
    page.unroute("**/api/requests?*")
    page.unroute("**/api/pictures/**")
