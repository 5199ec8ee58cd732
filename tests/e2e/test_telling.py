"""A failed test's report says what the page showed."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e import telling

pytestmark = pytest.mark.slow


def test_errors_cards_and_refusals_are_told(visit, chromium, place):
    place.engine.hold()
    page = visit().page
    page.click("#draw")
    expect(page.locator("#tray .job")).to_have_count(1)
    page.route(
        "**/api/requests", lambda route: route.fulfill(status=418, json={"error": "No tea."})
    )
    page.click("#draw")
    expect(page.locator("#draw-error")).to_have_text("No tea.")
    lines = telling.told(chromium).splitlines()
    assert "/#" in lines[0]
    assert "  draw-error: No tea." in lines
    assert any(line.startswith("  job: a knight in (red armor:1.2)") for line in lines)
    assert lines[-1] == "418 /api/requests"
