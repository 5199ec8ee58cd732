"""The lists of models and VAEs on the page: what is chosen there draws, and the receipt says so."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from limner.engine.checkpoints.layouts import EMBEDDED
from limner.imaging import read_metadata
from tests.e2e.browser import Visitor, playground
from tests.models import chosen
from tests.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def visitor(chromium, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    models = chosen.write(folder / "models")
    painters = (
        (EMBEDDED, None),
        (EMBEDDED, models / "soft.safetensors"),
        (models / "knight.safetensors", None),
    )
    others = [chosen.info(*each) for each in painters]
    with playground(folder / "data", others=others, models_dirs=[models]) as place:
        opened = Visitor(chromium.new_page(), place, place.make_key())
        yield opened
        assert opened.complaints == []


def drawn(visitor, **choose):
    """Choose in the lists, draw, and give the model on the newest picture's receipt."""
    for name, label in choose.items():
        visitor.page.select_option(f"#choose-{name}", label=label)
    visitor.draw()
    with visitor.place.api(visitor.key) as api:
        newest = api.get("/api/requests?limit=1").json()["requests"][0]
        file = api.get(f"/api/pictures/{newest['pictures'][0]['id']}")
    return read_metadata(file.content).receipt["model"]


def look(page) -> bool:
    """Whether the picture on the stage and the newest of the strip are crisp."""
    expect(page.locator(".tile img")).to_have_count(1)
    expect(page.locator("#strip li:first-child img")).to_have_count(1)
    shown = [page.locator(where) for where in (".tile img", "#strip li:first-child img")]
    crisp = wait_for(
        lambda: ["crisp" in (one.get_attribute("class") or "").split() for one in shown],
        lambda seen: len(set(seen)) == 1,
    )
    return crisp[0]


def test_what_is_chosen_draws(visitor):
    page = visitor.page
    expect(page.locator("#choose-model option")).not_to_have_count(1)
    listed = page.locator("#choose-model option").all_inner_texts()
    assert {"knight", "squire"} <= set(listed)
    assert "fox" not in listed, "a LoRA draws nothing by itself"
    own = drawn(visitor)
    assert own["name"] == visitor.place.engine.status().loaded().name
    other = drawn(visitor, model="squire")
    assert (other["name"], other["vae_sha256"]) == ("Squire", None)
    expect(page.locator("#under .facts").first).to_contain_text("model Squire")
    softened = drawn(visitor, vae="soft")
    info = visitor.place.engine.status().resident[-1]
    assert (softened["name"], softened["vae_sha256"]) == ("Squire", info.vae_sha256)
    softened_look = look(page)
    with visitor.place.api(visitor.key) as api:
        assert api.post("/api/license/accept?model=knight").status_code == 200
    knight = drawn(visitor, model="knight", vae="the model's own")
    assert knight["name"] != other["name"]
    # Each picture is seen as its own model paints, wherever it is shown.
    assert (softened_look, look(page)) == (True, False)
    expect(page.locator("#under .facts").last).not_to_contain_text("sprite")
    expect(page.locator("#act-sprite")).to_have_count(0)
    page.click("#places a:text-is('Library')")
    expect(page.locator("#grid img")).to_have_count(4)
    expect(page.locator("#grid img.crisp")).to_have_count(3)
    page.click("#places a:text-is('Desk')")
    page.reload()
    page.wait_for_selector("#strip img.crisp")
    expect(page.locator("#strip img")).to_have_count(4)
    expect(page.locator("#strip img.crisp")).to_have_count(3)
    back = drawn(visitor, model=listed[0], vae="the model's own")
    assert back["name"] == own["name"]
