"""A model whose licence a key must accept before it draws."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from limner.domain.licences import RAIL_M
from limner.engine.batching.fake import FAKE_MODEL
from tests.e2e.browser import Visitor, playground

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
        assert page.locator(".tile img.crisp").count() == 0
        assert page.locator("#act-sprite").count() == 0
        assert visitor.complaints == []
