"""One browser and one server for all tests of the page; each visit has its own key."""

from __future__ import annotations

import pytest

from tests.e2e import browser, telling
from tests.e2e.browser import Visitor


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    telling.REFUSALS.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    running = getattr(item, "funcargs", {}).get("chromium")
    if report.when == "call" and report.failed and running:
        report.sections.append(("what the page showed", telling.told(running)))
    return report


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as running:
        telling.listen(running)
        yield running


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    with browser.playground(tmp_path_factory.mktemp("playground")) as running:
        yield running


@pytest.fixture(scope="module")
def visitor(chromium, place):
    """One page for all tests of a module, for those that need no fresh key: opening costs most."""
    place.slow_down(0.001)
    context = chromium.new_context(viewport={"width": 1300, "height": 850})
    opened = Visitor(context.new_page(), place, place.make_key())
    yield opened
    context.close()
    assert opened.complaints == []


@pytest.fixture
def visit(chromium, place):
    """Opens the page, with a fresh key by default; complaints of the console fail the test."""
    opened = []
    place.slow_down(0.01)

    def open_page(key: str | None = "fresh", **options) -> Visitor:
        options.setdefault("viewport", {"width": 1300, "height": 850})
        context = chromium.new_context(**options)
        visitor = Visitor(context.new_page(), place, place.make_key() if key == "fresh" else key)
        opened.append((context, visitor))
        return visitor

    yield open_page
    place.engine.release()
    for context, visitor in opened:
        context.close()
        assert visitor.complaints == []
