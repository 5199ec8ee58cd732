"""Walks on the accessibility tree alone: by roles, names and keys, never by what is seen.

And what else the page owes to those who see it otherwise: forced colours, names of pictures, live
regions that keep still, fields that say their own faults.
"""

from __future__ import annotations

import json
import zipfile

import pytest
from playwright.sync_api import Locator, Page, expect

from limner import imaging
from tests.e2e.hands import Keyboard
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


def reach(page: Page, role: str, name: str) -> Locator:
    """Tab to what has this role and name."""
    wanted = page.get_by_role(role, name=name).first  # type: ignore[arg-type]
    Keyboard(page).reach(wanted)
    return wanted


def press(page: Page, role: str, name: str, key: str = "Enter") -> None:
    reach(page, role, name)
    page.keyboard.press(key)


def write(page: Page, role: str, name: str, text: str) -> None:
    Keyboard(page).write(reach(page, role, name), text)


def status_says(page: Page, text: str) -> None:
    expect(page.get_by_role("status").filter(has_text=text).first).to_be_attached()


def test_a_walk_that_draws_cancels_finds_and_exports(visit, place):
    visitor = visit()
    page = visitor.page

    # Draw two.
    for prompt in ("a heron at dawn", "a lantern on a pier"):
        write(page, "textbox", "Prompt", prompt)
        press(page, "button", "Draw")
        status_says(page, "1 picture drawn")
        status_says(page, prompt)

    # Cancel a third.
    place.engine.hold()
    write(page, "textbox", "Prompt", "never to be drawn")
    press(page, "button", "Draw")
    press(page, "button", "Cancel: never to be drawn")
    status_says(page, "Cancelled.")
    place.engine.release()
    wait_until(lambda: visitor.stored()[0]["status"] == "CANCELLED")

    # Find the first.
    press(page, "link", "Library")
    write(page, "searchbox", "Words of prompts, styles or models", "heron")
    expect(page.get_by_role("status").filter(has_text="1 picture").first).to_be_attached()
    expect(page.get_by_role("button", name="a lantern on a pier")).to_have_count(0)

    # Export it.
    press(page, "checkbox", "Select a heron at dawn", "Space")
    status_says(page, "1 selected")
    with page.expect_download() as download:
        press(page, "button", "Save as ZIP")
    with zipfile.ZipFile(download.value.path()) as file:
        [png] = [name for name in file.namelist() if name.endswith(".png")]
        [receipt] = [name for name in file.namelist() if name.endswith(".json")]
        assert json.loads(file.read(receipt))["prompts"]["positive"].startswith("a heron at dawn")
        assert imaging.read_image(file.read(png)).shape == (512, 512, 3)


def test_forced_colours_leave_sliders_and_choices_to_be_seen(visit):
    page = visit(forced_colors="active").page
    page.click("#samples label:has-text('2')")
    chosen, other = page.locator("#samples label").nth(1), page.locator("#samples label").nth(2)
    outline = "node => getComputedStyle(node).outlineStyle"
    page.locator("#prompt").focus()
    assert chosen.evaluate(outline) != "none"
    assert other.evaluate(outline) == "none"
    # The slider's marks stand out from what they lie on.
    shot = imaging.read_image(page.locator("#steps").screenshot())
    assert int(shot.max()) - int(shot.min()) > 100


def test_the_live_region_keeps_still_while_it_draws(visit):
    """A sentence when it is done, none at each step; pictures are named by their prompts."""
    visitor = visit()
    page = visitor.page
    page.evaluate(
        """() => {
        window.said = [];
        const region = document.querySelector("#announce");
        const note = () => window.said.push(region.textContent);
        new MutationObserver(note).observe(region, { childList: true });
        }"""
    )
    page.fill("#prompt", "a heron at dawn")
    visitor.draw(steps=40)
    expect(page.locator("#announce")).to_contain_text("1 picture drawn")
    said = page.evaluate("window.said.filter(Boolean)")
    assert len(said) == 1, said
    live = page.locator("[aria-live]:not(#announce), [role=status], [role=alert]")
    assert all(not node.get_by_text("Step ").count() for node in live.all())
    picture = page.get_by_role("button", name="a heron at dawn, seed")
    expect(picture.first).to_be_visible()


def test_a_fault_is_tied_to_its_field(visit):
    page = visit().page
    page.fill("#seed", "abc")
    expect(page.locator("[data-field=seed] .error")).to_be_visible()
    seed = page.locator("#seed")
    expect(seed).to_have_attribute("aria-invalid", "true")
    words = page.locator("#" + (seed.get_attribute("aria-errormessage") or "nothing")).inner_text()
    assert "abc" in words
    page.fill("#seed", "5")
    expect(seed).not_to_have_attribute("aria-invalid", "true")


BEHIND_A_BUTTON = {
    "Choose": "The server cannot be reached.",
    "Style sheet": "The server cannot be reached.",
    "Earlier": "The server cannot be reached.",
    "LoRAs…": "The server cannot be reached.",
}


def test_no_button_fails_in_silence_while_the_server_is_gone(visit):
    page = visit().page
    page.context.set_offline(True)
    for name, says in BEHIND_A_BUTTON.items():
        page.get_by_role("button", name=name, exact=True).click()
        fault = page.locator(".error:not([hidden])", has_text=says)
        expect(fault.first).to_be_visible()
        expect(page.locator("dialog[open]")).to_have_count(0)
        page.locator("#prompt").fill(name)  # what is typed takes its own field's fault away
        page.evaluate("document.querySelectorAll('.error').forEach(each => { each.hidden = true })")
    page.get_by_role("button", name="Grid", exact=True).click()
    expect(page.locator("#grid-price")).to_have_text("The server cannot be reached.")
    expect(page.locator("#grid-draw")).to_be_disabled()
    page.keyboard.press("Escape")
    page.context.set_offline(False)
    page.get_by_role("button", name="Earlier", exact=True).click()
    expect(page.get_by_role("dialog", name="Earlier prompts")).to_be_visible()


def test_an_emptied_weight_of_a_style_is_none_and_not_0(visit):
    visitor = visit()
    page = visitor.page
    page.click("#styles-open")
    page.click("dialog button:text-is('oil painting')")
    page.keyboard.press("Escape")
    weight = page.get_by_label("Weight of oil painting")
    weight.fill("0.7")
    page.keyboard.press("Tab")
    page.get_by_label("Weight of oil painting").fill("")
    page.keyboard.press("Tab")
    with page.expect_request(
        lambda request: request.method == "POST" and request.url.endswith("/api/requests")
    ) as asked:
        page.click("#draw")
    [body] = asked.value.post_data_json["requests"]
    assert body["style_mix"] == {"image_type": "oil painting"}
