"""What the playground does with pictures: sources, masks, variations, copies, receipts."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from limner import imaging
from limner.imaging import Metadata
from tests.e2e.browser import Playground, Visitor, a_picture, drop
from tests.waiting import LONG_S, wait_for

pytestmark = pytest.mark.slow


def sent(page) -> list[dict]:
    """Bodies of the drawing requests that the page sends from now on."""
    bodies: list[dict] = []

    def keep(request) -> None:
        if request.method == "POST" and request.url.endswith("/api/requests"):
            bodies.extend(request.post_data_json["requests"])

    page.on("request", keep)
    return bodies


def stored_png(place: Playground, visitor: Visitor, place_in_list: int = 0) -> bytes:
    picture = visitor.stored()[place_in_list]["pictures"][0]["id"]
    with place.api(visitor.key) as api:
        return api.get(f"/api/pictures/{picture}").content


def test_a_dropped_picture_is_the_source_and_a_painted_mask_goes_with_it(visit):
    visitor = visit()
    page, bodies = visitor.page, sent(visitor.page)
    drop(page, a_picture())
    page.click("#source-panel label[title^='all of it']")
    page.locator("#strength").fill("0.75")
    page.click("#mask-open")
    box = page.locator("canvas.paint").bounding_box()
    page.keyboard.press("]")
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    page.click("#mask-done")
    expect(page.locator("#mask-open")).to_have_text("Change the mask")
    visitor.draw()
    body = bodies[0]
    assert (body["strength"], body["resize_mode"], body["mask_blur"]) == (0.75, "fill", 4)
    mask = np.asarray(Image.open(io.BytesIO(imaging.parse_base64(body["mask"]))).convert("L"))
    assert mask.shape == (64, 96)
    assert set(np.unique(mask)) == {0, 255}
    assert mask[32, 24:48].all()
    assert not mask[:, 70:].any()
    assert visitor.stored()[0]["generation"]["source"]["mask_sha256"]
    assert not {"only_masked", "mask_fill"} & set(body)


def test_the_masked_part_alone_is_asked_for_and_asked_for_again(visit):
    visitor = visit()
    page, bodies = visitor.page, sent(visitor.page)
    drop(page, a_picture())
    page.click("#mask-open")
    assert page.locator("#mask-padding").is_disabled()
    page.keyboard.press("Space")
    page.check("#mask-only")
    page.locator("#mask-padding").fill("64")
    page.select_option("#mask-fill", "noise")
    page.click("#mask-done")
    expect(page.locator("#mask-open")).to_have_text("Change the mask")
    page.click("#mask-open")
    assert page.locator("#mask-only").is_checked()
    assert page.locator("#mask-fill").input_value() == "noise"
    page.click("#mask-done")
    visitor.draw()
    body = bodies[0]
    assert (body["only_masked"], body["mask_padding"], body["mask_fill"]) == (True, 64, "noise")
    assert "resize_mode" not in body
    generation = visitor.stored()[0]["generation"]
    assert generation["source"]["only_masked"]
    assert (generation["width"], generation["height"]) == (512, 512)


@pytest.mark.slow
def test_a_mask_by_keyboard_inverted_erased_and_left(visit):
    visitor = visit()
    page = visitor.page
    drop(page, a_picture(64, 64))
    page.focus("#mask-open")
    page.keyboard.press("Enter")
    painted = "node => node.getContext('2d').getImageData(32, 32, 1, 1).data[3]"
    canvas = page.locator("canvas.paint")
    expect(canvas).to_be_focused()
    page.keyboard.press("Space")
    assert canvas.evaluate(painted) == 255
    page.keyboard.press("Alt+Space")
    assert canvas.evaluate(painted) == 0
    page.keyboard.press("Control+z")
    assert canvas.evaluate(painted) == 255
    page.click("text=Invert")
    assert canvas.evaluate(painted) == 0
    page.click("text=Invert")
    page.click("button:text-is('Erase')")
    canvas.focus()
    page.keyboard.press("Space")
    assert canvas.evaluate(painted) == 0
    page.keyboard.press("Escape")
    expect(page.locator("#mask-open")).to_have_text("Go on with the mask")


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
@pytest.mark.slow
def test_the_settings_inside_a_picture_of_ours_are_loaded(visit, format):
    parameters = {
        "prompt": 'a {braced} "mage" \\(old\\)',
        "negative_prompt": "fog",
        "scheduler": "Heun",
        "steps": 44,
        "guidance": 6.5,
        "seed": 2601738487234,
        "width": 768,
        "height": 512,
        "clip_skip": 2,
        "subseed": 9,
        "subseed_strength": 0.25,
        "details": [{"box": [0, 0, 0.5, 0.5], "strength": 0.4, "padding": 32, "blur": 4}],
    }
    receipt = {"receipt": 1, "parameters": parameters}
    pixels = np.zeros((64, 96, 3), np.uint8)
    data = imaging.encode(pixels, format, Metadata("a mage\nSteps: 44", receipt))
    page = visit().page
    drop(page, data, f"image/{format}")
    page.click("#load-settings")
    expect(page.locator("#prompt")).to_have_value(parameters["prompt"])
    expect(page.locator("#negative")).to_have_value("fog")
    expect(page.locator("#scheduler")).to_have_value("Heun")
    expect(page.locator("#seed")).to_have_value("2601738487234")
    expect(page.locator("#sizes input:checked")).to_have_attribute("value", "768x512")
    expect(page.locator("#source-panel")).to_be_hidden()
    chips = page.locator("#extra .chip")
    expect(chips).to_have_text(["clip skip 2×", "0.25 of seed 9’s noise×"])
    page.click("[aria-label='Without clip skip 2']")
    expect(chips).to_have_count(1)
    expect(page.get_by_label("Width % of detail 1")).to_have_value("50")


@pytest.mark.slow
def test_the_settings_inside_another_programs_picture_are_loaded_with_a_note(visit):
    """What is not here is told as a note, not as a mistake: the settings are on the desk."""
    text = (
        "a mage\nNegative prompt: fog\nSteps: 28, Sampler: DPM++ 2M Karras, CFG scale: 6.5, "
        "Seed: 5, Size: 512x768, Model hash: aaaaaaaaaa, Model: far"
    )
    page = visit().page
    note = page.locator("#source-read")
    data = imaging.encode(np.zeros((64, 96, 3), np.uint8), "png", Metadata(text, None))
    drop(page, data)
    page.click("#load-settings")
    expect(note).to_be_visible()
    assert page.input_value("#prompt") == "a mage"
    assert page.locator("#sizes input:checked").get_attribute("value") == "512x768"
    expect(note.locator("li").first).to_contain_text("checkpoint far (aaaaaaaaaa) is not in the")
    expect(note.locator("li").last).to_contain_text("numbers: such programs compute in half")
    expect(note).to_be_in_viewport()
    assert page.locator("#source .error").is_hidden()
    assert "invalid" not in page.locator("#source").get_attribute("class")
    page.fill("#prompt", "a knight")
    expect(note).to_be_visible()
    page.click("#source-read-close")
    expect(note).to_be_hidden()
    expect(page.locator("#prompt")).to_be_focused()
    drop(page, data)
    page.click("#load-settings")
    expect(note).to_be_visible()
    drop(page, a_picture())
    expect(note).to_be_hidden()


@pytest.mark.slow
def test_a_picture_in_tiles_is_put_back_on_the_desk_as_it_was_asked_for(visit):
    upscale = {"width": 1200, "height": 800, "upscaler": "Nearest", "tile_width": 256,
               "tile_height": 512, "overlap": 32}  # fmt: skip
    parameters = {"prompt": "x", "seed": 1, "width": 768, "height": 512, "sd_upscale": upscale}
    pixels = np.zeros((64, 96, 3), np.uint8)
    data = imaging.encode(pixels, "png", Metadata("", {"receipt": 1, "parameters": parameters}))
    page = visit().page
    drop(page, data)
    page.click("#load-settings")
    expect(page.locator("#extra .chip")).to_have_text(["1.6 times as large, in tiles×"])
    asked = page.evaluate("import('/static/js/desk/order.js').then((o) => o.toBody().sd_upscale)")
    scale = asked.pop("scale")
    assert (int(768 * scale), int(512 * scale)) == (1200, 800)
    assert asked == {n: v for n, v in upscale.items() if n not in ("width", "height")}


@pytest.mark.slow
def test_varied_pictures_share_the_seed_and_stand_on_one_sheet(visit):
    visitor = visit()
    page = visitor.page
    visitor.draw()
    bodies = sent(page)
    page.locator("#act-vary").click()
    expect(page.locator(".tile")).to_have_count(4)  # its receipt is read before it is put in line
    visitor.wait_until_drawn()
    seed = visitor.stored()[1]["generation"]["seed"]
    assert [(b["samples"], b["seed"], b["subseed_strength"]) for b in bodies] == [(4, seed, 0.15)]
    # The page shows a picture as it comes; it is among the stored ones once all are billed.
    pictures = wait_for(lambda: visitor.stored()[0]["pictures"], bool)
    assert {picture["seed"] for picture in pictures} == {seed}
    expect(page.locator("#strip img")).to_have_count(5)


@pytest.mark.slow
def test_after_a_reload_a_picture_made_from_another_is_varied_from_it(visit):
    visitor = visit()
    page = visitor.page
    pixels = np.random.default_rng(5).integers(0, 256, (64, 64, 3), np.uint8)
    drop(page, imaging.to_png(pixels), "image/png")
    page.wait_for_selector("#source-panel img")
    visitor.draw()
    page.reload()
    page.wait_for_selector("#act-vary")
    visitor.place.engine.hold()
    page.locator("#act-vary").click()
    page.wait_for_selector("#tray .job")
    visitor.place.engine.release()
    visitor.wait_until_drawn()
    varied, first = visitor.stored()[:2]
    assert first["generation"]["source"]["sha256"]
    assert varied["generation"]["source"] == first["generation"]["source"]
    assert len(varied["pictures"]) == 4


@pytest.mark.slow
def test_styles_are_chosen_weighed_previewed_and_sent(visit):
    visitor = visit()
    page, bodies = visitor.page, sent(visitor.page)
    page.click("#styles-open")
    page.click("button:text-is('oil painting')")
    page.click("button:text-is('moonlit')")
    page.keyboard.press("Escape")
    page.get_by_label("Weight of moonlit").fill("0.8")
    page.get_by_label("Weight of moonlit").press("Tab")
    expect(page.locator("#style-preview")).to_contain_text("(cold moonlight, deep shadows:0.8)")
    visitor.draw()
    assert bodies[0]["style_mix"] == {
        "image_type": "oil painting",
        "mood": {"name": "moonlit", "weight": 0.8},
    }
    assert "oil painting" in visitor.stored()[0]["generation"]["prompt"]
    page.click("[aria-label='Without moonlit']")
    expect(page.locator(".chip")).to_have_count(1)
    page.fill("#prompt", "something else")
    page.click("#act-settings")
    expect(page.locator("#prompt")).to_have_value(bodies[0]["prompt"])
    expect(page.locator(".chip")).to_have_count(2)


@pytest.mark.slow
def test_a_style_sheet_draws_one_seed_in_a_row_of_styles(visit):
    visitor = visit()
    page, bodies = visitor.page, sent(visitor.page)
    visitor.set_steps(10)
    page.click("#sheet-open")
    page.select_option("#sheet-kind", "image_type")
    expect(page.locator("#sheet-price")).to_have_text("4 pictures, 0.00512 credits")
    page.click("#sheet-draw")
    visitor.wait_until_drawn()
    assert [body["style_mix"]["image_type"] for body in bodies][:2] == [
        "oil painting",
        "watercolour",
    ]
    assert len({body["seed"] for body in bodies}) == 1
    expect(page.locator(".tile .label").first).to_have_text("oil painting")


RUNNERS = {
    "curl": ["bash", "-e"],
    "python": [sys.executable, "-"],
    "javascript": ["node", "--input-type=module", "-"],
}


@pytest.mark.slow
def test_copied_requests_work_when_pasted(visit, place: Playground, tmp_path):
    visitor = visit()
    page = visitor.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.fill("#prompt", 'it\'s "quoted" \\(so\\), $HOME `x` é 🐉')
    visitor.draw()
    first = imaging.read_image(stored_png(place, visitor))
    page.locator("#act-copy").click()
    for language, command in RUNNERS.items():
        if not shutil.which(command[0]):
            continue
        page.click(f"#tab-{language}")
        assert visitor.key not in page.locator("#snippet").inner_text()
        page.click("#snippet-copy")
        expect(page.locator("dialog [role=status]")).to_contain_text("Copied")
        text = page.evaluate("navigator.clipboard.readText()")
        folder = tmp_path / language
        folder.mkdir()
        done = subprocess.run(
            command, input=text, text=True, cwd=folder, capture_output=True, timeout=LONG_S
        )
        assert done.returncode == 0, done.stderr
        again = imaging.read_image((folder / "picture.png").read_bytes())
        assert np.array_equal(first, again), language


@pytest.mark.slow
def test_saving_receipt_cost_and_deleting(visit, place: Playground):
    visitor = visit()
    page = visitor.page
    visitor.draw()
    for button, magic in {
        "png": b"\x89PNG",
        "jpg": b"\xff\xd8",
        "webp": b"RIFF",
        "sprite": b"\x89PNG",
    }.items():
        with page.expect_download() as download:
            page.click(f"#act-{button}")
        data = download.value.path().read_bytes()
        assert data.startswith(magic)
    assert Image.open(io.BytesIO(data)).size == (32, 32)
    page.click("#act-receipt")
    receipt = json.loads(page.locator("dialog pre").inner_text())
    pixels = imaging.read_image(stored_png(place, visitor))
    assert receipt["parameters"]["prompt"] == visitor.stored()[0]["generation"]["prompt"]
    assert len(pixels) == receipt["parameters"]["height"]
    page.keyboard.press("Escape")
    page.click("#act-cost")
    told = re.compile(r"Quote: 0.00256 credits.*Hold: 0.00256.*Capture: 0.00256", re.S)
    expect(page.locator("#finding")).to_have_text(told)
    page.click("#act-delete")
    expect(page.locator("#strip img")).to_have_count(0)
    assert all(not request["pictures"] for request in visitor.stored())


@pytest.mark.slow
def test_a_replay_is_judged_in_a_sentence_and_shows_where_it_differs(visit, place: Playground):
    visitor = visit()
    page = visitor.page
    visitor.draw()
    page.locator("#stage").click(position={"x": 5, "y": 5})
    page.keyboard.press("r")
    page.keyboard.press("Enter")  # it spends, so it asks
    expect(page.locator("#finding .same")).to_contain_text("Identical, 0 of 262,144 pixels differ.")
    honest = place.engine.fake.decode
    try:
        place.engine.fake.decode = lambda image: honest(image) ^ np.uint8(1)
        page.keyboard.press("r")
        page.keyboard.press("Enter")  # it spends, so it asks
        expect(page.locator("#finding")).to_contain_text(
            "262,144 of 262,144 pixels differ, by 1 of 255"
        )
        expect(page.locator("canvas.difference")).to_be_visible()
    finally:
        place.engine.fake.decode = honest
    expect(page.locator("#strip img")).to_have_count(1)


@pytest.mark.slow
def test_full_size_and_arrows(visit):
    visitor = visit()
    page = visitor.page
    for prompt in ("the first", "the second"):
        page.fill("#prompt", prompt)
        visitor.draw()
    page.click(".tile")
    shown = page.locator(".viewer img")
    expect(shown).to_have_attribute("alt", "the second")
    page.keyboard.press("ArrowRight")
    expect(shown).to_have_attribute("alt", "the first")
    page.keyboard.press("Escape")
    expect(page.locator("#strip [aria-current=true]")).to_have_attribute(
        "aria-label", re.compile("the first")
    )


@pytest.mark.slow
def test_a_picture_of_ours_is_the_next_source(visit):
    visitor = visit()
    page = visitor.page
    visitor.draw()
    page.locator("#stage").focus()
    page.locator("#act-input").click()
    page.wait_for_selector("#source-panel img")
    bodies = sent(page)
    visitor.draw()
    first = visitor.stored()[0]["generation"]
    assert bodies[0]["image"].startswith("data:image/png;base64,")
    assert first["source"]["strength"] == 0.6
