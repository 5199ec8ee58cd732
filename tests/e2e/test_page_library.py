"""The library: a place of its own, a grid that holds only what is in sight, and thumbnails."""

from __future__ import annotations

import base64
import zipfile
from functools import partial

import pytest
from playwright.sync_api import Route, expect

from tests.e2e.browser import Visitor
from tests.e2e.test_page_looks import faults


def many(number: int, route: Route) -> None:
    """Answers for a server with so many pictures, page by page, newest first."""
    url = route.request.url
    limit = int(url.partition("limit=")[2].partition("&")[0])
    start = number - int(url.partition("after=")[2] or number)
    found = [_picture(number - n) for n in range(start, min(start + limit, number))]
    rest = number - start - limit
    return route.fulfill(json={"pictures": found, "next": str(rest) if rest > 0 else None})


def _picture(n: int) -> dict:
    named = {"id": f"pic_{n}", "request_id": f"req_{n}", "prompt": f"picture {n}"}
    size = {"index": 0, "seed": n, "width": 512, "height": 512}
    said = {"starred": False, "folder": None, "removed_at": None}
    return {**named, **size, **said, "created_at": "2026-01-01T00:00:00Z"}


def test_the_places_have_addresses_and_back_goes_between_them(visitor: Visitor):
    page = visitor.page
    page.goto(visitor.place.url + "/")
    page.reload()
    page.wait_for_selector("#price strong")
    page.fill("#prompt", "for the library")
    visitor.draw(steps=2)
    page.click("#places a:text-is('Library')")
    assert page.url.endswith("#library")
    cell = page.locator("#grid .cell", has=page.locator("[aria-label^='for the library']"))
    expect(cell.locator("img")).to_have_count(1)
    side = cell.locator("img").evaluate(
        "async node => { await node.decode(); return node.naturalWidth }"
    )
    assert side == 256
    expect(page.locator("#desk")).to_be_hidden()
    page.go_back()
    expect(page.locator("#desk")).to_be_visible()
    page.go_forward()
    cell.locator("button").click()
    page.click("#detail-desk")
    expect(page.locator("#desk")).to_be_visible()
    assert page.url.endswith("#desk")


@pytest.mark.slow
@pytest.mark.parametrize("number", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_many_pictures_keep_few_nodes(visitor: Visitor, number):
    page = visitor.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.route("**/api/pictures?*", partial(many, number))
    page.route("**/api/pictures/**", lambda route: route.abort())
    page.goto(page.url.partition("#")[0] + "#library")
    page.reload()
    expect(page.locator("#grid .cell").first).to_be_visible()
    lists = [url for url in asked if "/api/pictures?" in url]
    assert len(lists) <= 6, lists
    for _ in range(number // 333):
        page.locator("#library").evaluate("node => { node.scrollTop = node.scrollHeight }")
        assert page.locator("#grid *").count() <= 400
    expect(page.locator("#library-count")).to_contain_text("pictures")
    assert page.evaluate("document.querySelectorAll('#strip *').length") <= 400
    page.unroute("**/api/pictures?*")
    page.unroute("**/api/pictures/**")


@pytest.fixture
def three(visitor: Visitor) -> Visitor:
    """A visitor in the library, with three pictures of seeds 1 to 3, the newest first."""
    with visitor.place.api(visitor.key) as api:
        api.delete("/api/pictures")
        for seed, prompt in ((1, "a red knight"), (2, "a blue mage"), (3, "a red dragon")):
            body = {"prompt": prompt, "seed": seed, "num_inference_steps": 20}
            assert api.post("/v1/sd1.5-rpg", json=body).status_code == 200
    visitor.page.goto(visitor.place.url + "/#library")
    visitor.page.reload()
    expect(visitor.page.locator("#grid .cell")).to_have_count(3)
    return visitor


def seeds(page) -> list[str]:
    names = page.locator("#grid .cell > button").evaluate_all(
        "nodes => nodes.map((node) => [node.parentNode.dataset.at, node.ariaLabel])"
    )
    return [name.rpartition(" ")[2] for _, name in sorted(names, key=lambda each: int(each[0]))]


def test_pictures_are_found_starred_and_put_into_folders(three: Visitor):
    page = three.page
    page.fill("#search [name=q]", "RED")
    expect(page.locator("#grid .cell")).to_have_count(2)
    assert seeds(page) == ["3", "1"]
    page.locator("#grid .cell input").nth(0).check()
    page.locator("#grid .cell input").nth(1).click(modifiers=["Shift"])
    expect(page.locator("#chosen [role=status]")).to_have_text("2 selected")
    page.click("#chosen-star")
    expect(page.locator("#grid .cell.starred")).to_have_count(2)
    page.click("#chosen-folder")
    page.fill("#folder-name", "Heroes & villains")
    page.keyboard.press("Enter")
    expect(page.locator("#search [name=folder] option")).to_have_count(4)
    page.click("#search button[type=reset]")
    expect(page.locator("#grid .cell")).to_have_count(3)
    page.check("#search [name=starred]")
    expect(page.locator("#grid .cell")).to_have_count(2)
    page.click("#search button[type=reset]")
    page.select_option("#search [name=folder]", label="In no folder")
    expect(page.locator("#grid .cell")).to_have_count(1)
    page.select_option("#search [name=folder]", label="Heroes & villains (2)")
    expect(page.locator("#grid .cell")).to_have_count(2)
    page.fill("#search [name=q]", "nothing of the kind")
    expect(page.locator("#library-count")).to_have_text("Nothing like that.")
    page.click("summary:text-is('More')")
    page.fill("#search [name=size]", "large")
    expect(page.locator("#search-error")).to_contain_text("size is")


def test_what_is_removed_can_be_brought_back(three: Visitor):
    page = three.page
    page.locator("#grid .cell input").nth(1).check()
    page.click("#chosen-remove")
    expect(page.locator("#grid .cell")).to_have_count(2)
    expect(page.locator("#notice")).to_contain_text("1 picture removed.")
    page.click("#notice button:text-is('Undo')")
    expect(page.locator("#grid .cell")).to_have_count(3)
    assert seeds(page) == ["3", "2", "1"]
    page.locator("#grid .cell input").nth(0).check()
    page.click("#chosen-remove")
    page.select_option("#search [name=folder]", "removed")
    expect(page.locator("#grid .cell")).to_have_count(1)
    page.locator("#grid .cell input").check()
    page.click("#chosen-back")
    expect(page.locator("#grid .cell")).to_have_count(0)
    page.click("#search button[type=reset]")
    expect(page.locator("#grid .cell")).to_have_count(3)


@pytest.mark.slow
def test_a_picture_stands_beside_its_words_and_gives_its_settings(three: Visitor):
    page = three.page
    page.locator("#grid .cell > button").nth(0).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_contain_text("a blue mage")
    expect(page.locator("#detail-desk")).to_be_focused()
    page.click("[aria-label='Use this seed on the desk']")
    page.click("[aria-label='Use this prompt on the desk']")
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    page.click("#places a:text-is('Desk')")
    assert page.input_value("#prompt") == "a blue mage"
    assert page.input_value("#seed") == "2"


@pytest.mark.slow
def test_lineage_goes_from_picture_to_picture(three: Visitor):
    page = three.page
    with three.place.api(three.key) as api:
        [newest, *_] = api.get("/api/pictures").json()["pictures"]
        png = base64.b64encode(api.get(newest["urls"]["png"]).content).decode()
        body = {"prompt": "the child", "image": png, "strength": 0.5, "seed": 9}
        assert api.post("/v1/sd1.5-rpg", json=body).status_code == 200
    page.reload()
    page.locator("#grid .cell > button[aria-label^='the child']").click()
    page.click("#detail .relatives button")
    expect(page.locator("#detail .settings")).to_contain_text("a red dragon")
    page.locator("#grid .cell input").first.check()
    assert faults(page) == []
    expect(page.locator("#detail h3:text-is('Drawn from it')")).to_be_visible()


@pytest.mark.slow
def test_two_are_compared_and_many_saved(three: Visitor):
    page = three.page
    for place in (0, 2):
        page.locator("#grid .cell input").nth(place).check()
    page.click("#chosen-compare")
    expect(page.locator("dialog input")).to_be_focused()
    page.keyboard.press("End")
    assert "100%" in page.locator(".compared").get_attribute("style")
    page.click("dialog button:text-is('Close')")
    with page.expect_download() as download:
        page.click("#chosen-zip")
    with zipfile.ZipFile(download.value.path()) as file:
        assert sorted(name.rpartition(".")[2] for name in file.namelist()) == 2 * ["json"] + 2 * [
            "png"
        ]
    page.click("#chosen-all")
    expect(page.locator("#chosen [role=status]")).to_have_text("3 selected")
    page.click("#chosen-none")
    expect(page.locator("#chosen")).to_be_hidden()


@pytest.mark.slow
def test_a_picture_that_cannot_be_fetched_says_so(three: Visitor):
    page = three.page
    page.route("**/api/receipts/**", lambda route: route.abort("connectionrefused"))
    page.locator("#grid .cell > button").first.click()
    expect(page.locator("#notice")).to_contain_text("The server cannot be reached.")
    expect(page.locator("#detail")).to_be_hidden()
    page.unroute("**/api/receipts/**")
    page.locator("#grid .cell > button").first.click()
    expect(page.locator("#detail-desk")).to_be_visible()
    page.route("**/lineage", lambda route: route.abort("connectionrefused"))
    page.locator("#grid .cell > button").nth(1).click()
    expect(page.locator("#notice")).to_contain_text("The server cannot be reached.")
    page.unroute("**/lineage")
    page.keyboard.press("Escape")
