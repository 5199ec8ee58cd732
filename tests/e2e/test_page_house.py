"""The House: an operator makes a key, sees its use, limits and revokes it; others see no House."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from limner.store import keys
from tests.e2e.browser import Playground
from tests.e2e.test_page_looks import faults


@pytest.fixture
def admin(place: Playground) -> str:
    with place.database.begin() as conn:
        scopes = ["admin", "draw", "read"]
        return keys.create(conn, name="boss", scopes=scopes, credits_micro=10**7)[0]


@pytest.mark.slow
def test_an_operator_makes_a_key_sees_its_use_and_revokes_it(visit, place: Playground, admin: str):
    page = visit(key=admin).page
    page.click("#to-house")
    assert page.url.endswith("#house")
    expect(page.locator("#house-now")).to_contain_text("ready")
    page.click("#key-new")
    page.fill("dialog [name=name]", "a guest")
    page.fill("dialog [name=credits]", "2.5")
    page.keyboard.press("Enter")
    secret = page.locator("#secret").inner_text()
    assert secret.startswith("SG_")
    assert page.locator("dialog").count() == 1, "nothing stands behind it"
    page.click("dialog button:text-is('Close')")
    row = page.locator("#house-keys tr", has_text="a guest")
    expect(row).to_contain_text("2.5")
    with place.api(secret) as guest:
        assert guest.post("/v1/sd1.5-rpg", json={"prompt": "x"}).status_code == 200
    expect(row).to_contain_text("1 picture")
    expect(page.locator("#house-usage figure").first).to_contain_text("in 30 days")
    row.locator("button").click()
    page.fill("dialog [name=spend_cap]", "much")
    page.click("dialog button.primary")
    expect(page.locator("dialog .error")).to_contain_text("spend_cap is")
    page.fill("dialog [name=spend_cap]", "1.5")
    page.fill("dialog [name=grant]", "1")
    page.click("dialog button.primary")
    expect(row).to_contain_text("1.5")
    assert faults(page) == []
    row.locator("button").click()
    page.click("#key-revoke")
    page.click("#key-revoke")
    expect(row).to_contain_text("revoked")
    with place.api(secret) as guest:
        assert guest.get("/api/key").status_code == 401


@pytest.mark.slow
def test_it_is_read_once_at_a_time_however_often_it_was_shown(visit, admin: str):
    page = visit(key=admin).page
    page.clock.install()
    page.click("#to-house")
    expect(page.locator("#house-now")).to_contain_text("ready")
    for name in ("Ada", "Ben", "Cleo"):
        page.click("#key-new")
        page.fill("dialog [name=name]", name)
        page.keyboard.press("Enter")
        expect(page.locator("#house-keys tr", has_text=name)).to_have_count(1)
        page.click("dialog button:text-is('Close')")
        expect(page.locator("dialog")).to_have_count(0)
    read: list[str] = []
    page.on("request", lambda r: r.url.endswith("/api/admin/status") and read.append(r.url))
    page.locator("#house").click()  # the focus leaves the table, which is then read again
    with page.expect_response("**/api/admin/status"):
        page.clock.fast_forward(5_000)
    assert len(read) == 1


@pytest.mark.slow
def test_others_see_no_house_and_go_from_key_to_key(visit, place: Playground, admin: str):
    visitor = visit()
    page = visitor.page
    expect(page.locator("#to-house")).to_be_hidden()
    page.goto(place.url + "/#house")
    expect(page.locator("#desk")).to_be_visible()
    page.click("#key-open")
    page.fill("#key", admin)
    page.keyboard.press("Enter")
    expect(page.locator("#to-house")).to_be_visible()
    page.click("#key-open")
    page.click(".other-keys button:has-text('Use artist')")
    expect(page.locator("#to-house")).to_be_hidden()
    page.wait_for_selector("#price strong")
    page.click("#key-open")
    page.click(".other-keys button:text-is('Forget')")
    expect(page.locator(".other-keys li")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.slow
def test_axe_finds_no_serious_fault_in_the_dialogs_of_all_places(visit, admin: str, scheme):
    """Those of the House and the library, and boxes on a picture; the desk's others elsewhere."""
    visitor = visit(key=admin, color_scheme=scheme)
    page = visitor.page
    for _ in range(2):
        visitor.draw(steps=2)
    open_and_check(page, "#region-draw", "#detail-draw")
    page.click("#places a:text-is('Library')")
    boxes = page.locator("#grid .cell input")
    expect(boxes).to_have_count(2)
    for box in boxes.all():
        box.check()
    expect(page.locator("#chosen-compare")).to_be_visible()
    open_and_check(page, "#chosen-folder", "#chosen-compare")
    page.click("#to-house")
    open_and_check(page, "#key-new", "#house-keys tbody button")
    page.click("#key-new")
    page.fill("dialog [name=name]", "somebody")
    page.keyboard.press("Enter")
    expect(page.locator("#secret")).to_be_visible()
    assert faults(page) == []


def open_and_check(page: Page, *buttons: str) -> None:
    """Press each, see what axe finds in the dialog that opens, and close it."""
    for button in buttons:
        page.locator(button).first.click()
        page.wait_for_selector("dialog[open]")
        assert (button, faults(page)) == (button, [])
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)
