"""A model whose licence a key must accept before it draws."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from limner.domain.licences import RAIL_M
from limner.engine.batching.fake import FAKE_MODEL
from tests.e2e.browser import Visitor, playground
from tests.models import chosen, files

pytestmark = pytest.mark.slow
RPG = replace(
    FAKE_MODEL,
    name="RPG V4",
    licence=RAIL_M.id,
    licence_needs_acceptance=True,
    attribution=("RPG V4 by Anashel",),
)


def test_the_licence_is_accepted_where_it_stops_the_drawing(chromium, tmp_path):
    with playground(tmp_path, RPG) as place:
        visitor = Visitor(chromium.new_page(), place, place.make_key())
        page = visitor.page
        assert "RPG V4 by Anashel" in page.locator("#model a").get_attribute("title")
        page.click("#draw")
        expect(page.locator("#draw-error")).to_contain_text("licen")
        assert page.locator("#draw-error a").get_attribute("href") == place.url + "/license"
        page.click("text=Accept and draw")
        visitor.wait_until_drawn()
        assert visitor.stored()[0]["status"] == "COMPLETED"
        # Pictures of a model that paints no sprites are not forced into large pixels.
        # A preview is; it stays until the picture is there.
        expect(page.locator(".tile img.crisp")).to_have_count(0)
        expect(page.locator("#act-sprite")).to_have_count(0)
        assert visitor.complaints == []


def test_of_a_model_without_a_vae_it_is_accepted_with_the_vae_that_is_chosen(chromium, tmp_path):
    models = chosen.write(tmp_path / "models")
    files.without_vae(models / "knight.safetensors", models / "bare.safetensors")
    bare = chosen.info(models / "bare.safetensors", models / "soft.safetensors")
    with playground(tmp_path / "data", others=[bare], models_dirs=[models]) as place:
        visitor = Visitor(chromium.new_page(), place, place.make_key())
        page = visitor.page
        page.select_option("#choose-model", value="bare")
        page.select_option("#choose-vae", label="soft")
        page.click("#draw")
        expect(page.locator("#draw-error a")).to_have_attribute("href", re.compile("vae=soft"))
        page.click("text=Accept and draw")
        visitor.wait_until_drawn()
        assert visitor.stored()[0]["status"] == "COMPLETED"
        assert visitor.complaints == []
