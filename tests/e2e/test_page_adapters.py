"""Boxes drawn on the picture, painted regions, poses, and what a preprocessor takes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.e2e.browser import Visitor, a_picture
from tests.e2e.test_page_looks import faults
from tests.e2e.test_page_parts import NET, followed, hear
from tests.e2e.test_page_pictures import sent

pytestmark = pytest.mark.slow

DOTS = {"name": "dots", "makes": "dots", "options": {"grain": {"default": 3, "low": 1, "high": 9}}}
PERSON = [[0.5, 0.2], [0.5, 0.4], *[None] * 16]


def drag(page: Page, paper: Locator, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag between two places, in shares of the paper."""
    box = paper.bounding_box()
    assert box
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=4)
    page.mouse.up()


def test_details_are_drawn_on_the_picture_priced_sent_and_put_back(visit):
    visitor: Visitor = visit()
    page, bodies = visitor.page, sent(visitor.page)
    page.fill("#prompt", "a tavern")
    visitor.draw(steps=4)
    alone = page.locator("#price strong").inner_text()
    page.click("#detail-draw")
    paper = page.locator(".boxing")
    expect(paper.locator("img")).to_have_count(1)
    drag(page, paper, (0.2, 0.1), (0.5, 0.4))
    drag(page, paper, (0.3, 0.2), (0.4, 0.3))  # what is there is moved
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    page.click("#box-add")
    assert faults(page) == []
    page.keyboard.press("Delete")
    page.mouse.click(5, 5)
    page.click("#boxes-done")
    expect(page.locator("#detail-draw")).to_be_focused()
    expect(page.locator("#details li")).to_have_count(1)
    expect(page.locator("#price strong")).not_to_have_text(alone)
    page.get_by_label("Detail 1: what is drawn there").fill("a face")
    page.get_by_label("Strength of detail 1").fill("0.5")
    page.click("#draw")
    visitor.wait_until_drawn()
    [detail] = bodies[-1]["details"]
    assert detail["box"] == pytest.approx([0.29, 0.2, 0.3, 0.31], abs=0.011)
    assert (detail["prompt"], detail["strength"]) == ("a face", 0.5)
    [stored] = visitor.stored()[0]["generation"]["details"]
    assert (stored["prompt"], stored["box"]) == ("a face", detail["box"])
    page.click("[aria-label='Without detail 1']")
    expect(page.locator("#detail-add")).to_be_focused()
    page.click("#act-settings")
    expect(page.get_by_label("Detail 1: what is drawn there")).to_have_value("a face")
    page.click("#detail-draw")
    page.keyboard.press("Escape")
    expect(page.locator("#details li")).to_have_count(1)


def test_what_a_detector_finds_is_drawn_once_more(visitor: Visitor):
    page = visitor.page
    asked: list[dict] = []

    def quote(route: Route) -> None:
        asked.append(json.loads(route.request.post_data or "{}"))
        route.fulfill(status=400, json={"error": "details is told of in the test"})

    page.click("#detail-find")
    expect(page.locator("[data-field=details] .error")).to_contain_text("has no detector")
    faces = {"name": "faces", "kind": "detector", "usable": True}
    hands = faces | {"name": "hands", "notes": ["it finds: 0 hand, 1 foot"]}
    rows = [faces, hands, faces | {"name": "broken", "usable": False}]
    page.route("**/api/models", lambda route: route.fulfill(json=rows))
    page.route("**/api/quote", quote)
    page.fill("#prompt", "a party of four")
    page.click("#detail-find")
    choice = page.get_by_label("Found by of detail 1")
    expect(choice.locator("option")).to_have_text(["faces", "hands"])
    choice.select_option("hands")
    page.get_by_label("At most of detail 1").fill("2")
    page.get_by_label("Sure at least of detail 1").fill("0.5")
    classes = page.get_by_label("Classes of detail 1")
    classes.fill("0, 1")
    page.get_by_label("Detail 1: what is drawn there").fill("a hand")
    expect(page.locator("[data-field=details] .error")).to_contain_text("told of in the test")
    assert faults(page) == []
    hear(page, lambda: asked[-1]["details"][0].get("prompt") == "a hand")
    assert asked[-1]["details"] == [
        {
            "detector": "hands",
            "max": 2,
            "threshold": 0.5,
            "classes": [0, 1],
            "strength": 0.4,
            "prompt": "a hand",
        }
    ]
    # What is no number is the server's to refuse, and nothing means all.
    classes.fill("foot")
    hear(page, lambda: asked[-1]["details"][0].get("classes") == ["foot"])
    classes.fill("")
    hear(page, lambda: "classes" not in asked[-1]["details"][0])
    page.click("[aria-label='Without detail 1']")
    page.unroute("**/api/models")
    page.unroute("**/api/quote")


def test_regions_keep_their_words_when_boxes_are_drawn_again(visitor: Visitor):
    page = visitor.page
    page.click("#region-add")
    page.keyboard.type("a knight")
    page.click("#region-draw")
    paper = page.locator(".boxing")
    drag(page, paper, (0.6, 0.2), (0.9, 0.8))
    page.mouse.move(0, 0)
    page.click("#boxes-done")
    expect(page.locator("#regions li")).to_have_count(2)
    expect(page.get_by_label("Region 1: what is drawn there")).to_have_value("a knight")
    expect(page.get_by_label("Left % of region 2")).to_have_value("60")
    page.click("#region-draw")
    page.click("dialog button:text-is('Without any')")
    page.click("#boxes-done")
    expect(page.locator("#regions li")).to_have_count(0)


def test_a_region_is_painted_kept_sent_and_brought_back(visit):
    visitor: Visitor = visit()
    page, bodies = visitor.page, sent(visitor.page)
    page.fill("#prompt", "a tavern")
    visitor.set_steps(3)
    page.click("#region-add")
    page.keyboard.type("a moon")
    page.click("[aria-label='Paint the mask of region 1']")
    page.focus(".paint")
    page.keyboard.press("Space")
    assert faults(page) == []
    page.click("#mask-done")
    expect(page.locator("#regions img")).to_have_count(1)
    expect(page.get_by_label("Left % of region 1")).to_have_count(0)
    page.reload()
    page.wait_for_selector("#price strong")
    expect(page.locator("#region-plan .veil")).to_have_count(1)
    page.click("#draw")
    visitor.wait_until_drawn()
    [region] = bodies[-1]["regions"]
    assert region.pop("mask").startswith("data:image/png;base64,")
    assert region == {"prompt": "a moon", "weight": 1}
    [stored] = visitor.stored()[0]["generation"]["regions"]
    page.click("[aria-label='Region 1 as a box']")
    expect(page.get_by_label("Left % of region 1")).to_have_value("0")
    page.click("[aria-label='Without region 1']")
    page.click("#act-settings")
    expect(page.locator("#regions img")).to_have_count(1)
    page.click("#draw")
    visitor.wait_until_drawn()
    # It is the same mask, to the bit.
    assert visitor.stored()[0]["generation"]["regions"] == [stored]


def test_a_mask_comes_from_a_file(visitor: Visitor):
    page = visitor.page
    page.click("#region-add")
    page.click("[aria-label='Paint the mask of region 1']")
    wrong = {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"}
    page.set_input_files("#mask-file", wrong)  # type: ignore[arg-type]
    expect(page.locator("dialog .error")).to_contain_text("reads no picture")
    # Half grey counts as white; as wide as it is, its sides are cut.
    file = {"name": "a.png", "mimeType": "image/png", "buffer": a_picture(96, 64)}
    page.set_input_files("#mask-file", file)  # type: ignore[arg-type]
    expect(page.locator("dialog .error")).to_be_empty()
    page.click("#mask-done")
    shown = page.locator("#regions img").evaluate(
        """async (node) => {
          await node.decode();
          const canvas = document.createElement("canvas");
          const pen = canvas.getContext("2d");
          pen.drawImage(node, 0, 0, 1, 1);
          return [node.naturalWidth / node.naturalHeight, pen.getImageData(0, 0, 1, 1).data[0]];
        }"""
    )
    assert shown == [1, 255]
    page.click("[aria-label='Without region 1']")


@pytest.fixture
def net(visitor: Visitor) -> Iterator[list[dict]]:
    """A ControlNet in the library and a preprocessor that this page has never heard of.

    Gives the bodies whose price was asked.
    """
    page = visitor.page
    asked: list[dict] = []

    def quote(route: Route) -> None:
        asked.append(json.loads(route.request.post_data or "{}"))
        route.fulfill(status=400, json={"error": "draw is told of in the test"})

    nets = [NET, NET | {"name": "an openpose net"}]
    page.route("**/api/models", lambda route: route.fulfill(json=nets))
    page.route("**/api/preprocessors", lambda route: route.fulfill(json=[DOTS]))
    page.route("**/api/quote", quote)
    page.reload()
    yield asked
    while (without := page.locator("[aria-label^='Without picture']")).count():
        without.first.click()
    for path in ("models", "preprocessors", "quote"):
        page.unroute(f"**/api/{path}")


def test_what_a_preprocessor_takes_is_what_the_server_says(visitor: Visitor, net: list[dict]):
    page = visitor.page
    made: list[dict] = []

    def preprocess(route: Route) -> None:
        made.append(json.loads(route.request.post_data or "{}"))
        route.fulfill(json={"image": ""})

    page.route("**/api/preprocess", preprocess)
    file = {"name": "edges.png", "mimeType": "image/png", "buffer": a_picture()}
    page.set_input_files("#guide-file", file)  # type: ignore[arg-type]
    expect(page.get_by_label("grain of picture 1")).to_have_count(0)
    page.get_by_label("Map of picture 1").select_option("dots")
    grain = page.get_by_label("grain of picture 1")
    expect(grain).to_have_value("3")
    assert (grain.get_attribute("min"), grain.get_attribute("max")) == ("1", "9")
    grain.fill("5")
    page.get_by_label("Mode of picture 1").select_option("control")
    page.get_by_label("How it is brought to size of picture 1").select_option("fill")
    expect(page.locator("#guides .map")).to_be_visible()
    hear(page, lambda: followed(net).get("mode") == "control")
    assert followed(net)["preprocessor"] == "dots"
    assert followed(net)["options"] == {"grain": 5}
    hear(page, lambda: followed(net).get("resize_mode") == "fill")
    hear(page, lambda: made[-1]["options"] == {"grain": 5} and made[-1]["resize_mode"] == "fill")
    assert made[-1]["width"] == 512
    page.unroute("**/api/preprocess")
    # It is there again after a reload, and so are its choices.
    page.reload()
    expect(page.get_by_label("grain of picture 1")).to_have_value("5")
    expect(page.get_by_label("Model of picture 1").locator("option")).to_have_count(2)
    page.click("[aria-label='Without picture 1']")


def test_a_pose_is_seen_before_it_is_followed(visitor: Visitor, net: list[dict]):
    page = visitor.page
    page.click("#guide-pose")
    page.fill("#pose", "[[0.5")
    expect(page.locator("#pose-error")).to_contain_text("This is no JSON")
    page.fill("#pose", "[]")
    expect(page.locator("#pose-error")).to_contain_text("pose is")
    expect(page.locator("#pose-done")).to_be_disabled()
    page.fill("#pose", json.dumps([PERSON]))
    expect(page.locator("#pose-shown")).to_be_visible()
    expect(page.locator("#pose-error")).to_be_hidden()
    assert faults(page) == []
    page.click("#pose-done")
    expect(page.get_by_label("Model of picture 1")).to_have_value("an openpose net")
    assert faults(page) == []
    page.click("[aria-label='Points of pose 1']")
    expect(page.locator("#pose")).to_have_value(json.dumps([PERSON], separators=(",", ":")))
    file = {"name": "p.json", "mimeType": "application/json", "buffer": b'{"people": []}'}
    page.set_input_files("#pose-file", file)  # type: ignore[arg-type]
    expect(page.locator("#pose-error")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    page.get_by_label("Weight of picture 1").fill("0.7")
    hear(page, lambda: followed(net).get("weight") == 0.7)
    assert followed(net)["pose"] == [PERSON]
    assert "image" not in followed(net)
    page.click("[aria-label='Without picture 1']")


def test_pictures_that_were_followed_come_back_with_its_settings(visitor: Visitor):
    page = visitor.page
    page.fill("#prompt", "a castle")
    visitor.draw(steps=2)
    control = {"name": "edges", "map_sha256": "a" * 64, "weight": 0.5, "start": 0, "end": 0.8}

    def answer(route: Route) -> None:
        receipt = route.fetch().json()
        receipt["parameters"] |= {"controls": [control]}
        route.fulfill(json=receipt)

    page.route("**/api/receipts/*", answer)
    source = {"body": a_picture(), "content_type": "image/png"}
    page.route("**/api/sources/*", lambda route: route.fulfill(**source))
    page.click("#act-settings")
    expect(page.get_by_label("Until of picture 1")).to_have_value("0.8")
    expect(page.get_by_label("Model of picture 1")).to_have_value("edges")
    expect(page.locator("#notice")).to_be_hidden()
    page.click("[aria-label='Without picture 1']")
    page.unroute("**/api/receipts/*")
    page.unroute("**/api/sources/*")
