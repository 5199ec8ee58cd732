"""The page in another language: a file of words, and a line that names it."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import Visitor

pytestmark = pytest.mark.slow

CHOICE = resources.files("limner.web") / "static/js/start.js"
# What somebody would write who begins to translate; the rest is still English.
WORDS = """
export const TEXTS = {
  common: { draw: "Teken", key: "Sleutel" },
  page: { lock: { title: "Houd dit getal" }, body: { "data-drop": "Laat hier los" } },
  boxes: {
    sides: ["Links", "Boven", "Breedte", "Hoogte"],
    regions: { without: (n) => `Zonder gebied ${n}` },
  },
};
"""


@pytest.fixture
def speak(chromium, place):
    """Opens the page in a browser that asks for ``locale``; Dutch is there."""
    opened = []

    def open_page(locale: str, words: str = WORDS) -> Visitor:
        context = chromium.new_context(locale=locale, viewport={"width": 1300, "height": 850})
        choice, lines = re.subn(r'(?m)^( +)"en",$', r'\1"en",\n\1"nl",', CHOICE.read_text())
        assert lines == 1
        script = "text/javascript"
        context.route("**/js/start.js", lambda r: r.fulfill(body=choice, content_type=script))
        context.route("**/js/texts/nl.js", lambda r: r.fulfill(body=words, content_type=script))
        visitor = Visitor(context.new_page(), place, place.make_key())
        opened.append((context, visitor))
        return visitor

    yield open_page
    for context, visitor in opened:
        context.close()
        assert visitor.complaints == []


def test_one_file_and_one_line_are_another_language(speak):
    page = speak("nl-BE").page
    expect(page.locator("html")).to_have_attribute("lang", "nl")
    expect(page.locator("#draw-word")).to_have_text("Teken")
    lock = page.locator("#lock")
    expect(lock).to_have_attribute("title", "Houd dit getal")
    page.click("#region-add")
    expect(page.get_by_label("Links % of region 1")).to_be_visible()
    expect(page.get_by_label("Zonder gebied 1")).to_be_visible()


def test_what_a_language_does_not_say_is_said_in_english(speak):
    page = speak("nl").page
    expect(page.locator("label[for=negative]")).to_have_text("Keep out")
    expect(page.locator("#lock")).to_have_attribute("aria-label", "Keep this seed")


def test_a_language_that_cannot_be_loaded_is_english(speak):
    page = speak("nl", words="throw new Error('damaged')").page
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#draw-word")).to_have_text("Draw")


@pytest.mark.parametrize("locale", ["en-GB", "fi"])
def test_other_browsers_are_shown_english(speak, locale):
    page = speak(locale, words="document.title = 'nobody asked'").page
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#draw-word")).to_have_text("Draw")
