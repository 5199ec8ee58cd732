"""A mouse, fingers and a keyboard, which do the same on the page: each by its own means alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from playwright.sync_api import Locator, Page

from tests.waiting import LONG_S, wait_for, wait_until

TABS_MAX = 120
DOUBLE_S = 0.4  # Chromium takes two taps within 0.3 seconds for a double one
FOCUSED = "node => node === document.activeElement"
SEEN = """node => {
  const near = [node, node.closest("label"), ...node.parentElement.querySelectorAll("label")];
  return near.some((each) => each && getComputedStyle(each).outlineStyle !== "none");
}"""


class Mouse:
    """Clicks and drags."""

    touches = False

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, target: Locator, done: Callable[[], object] | None = None) -> None:
        """Press it, and wait until ``done`` where that is given."""
        target.click()
        if done:
            wait_until(done)

    def write(self, target: Locator, text: str) -> None:
        target.fill(text)

    def draw(self, done: Callable[[], object]) -> None:
        self.press(self.page.locator("#draw"), done)

    def pick_date(self, target: Locator, date: str) -> None:
        """``date`` as YYYY-MM-DD."""
        target.fill(date)

    def choose(self, boxes: list[Locator]) -> None:
        """Select the boxes, which stand one after the other."""
        boxes[0].hover()
        boxes[0].click()
        for box in boxes[1:]:
            box.hover()
            box.click()

    def slide_to_end(self, slider: Locator) -> None:
        box = _box(slider)
        y = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + box["width"] / 2, y)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + box["width"], y, steps=4)
        self.page.mouse.up()

    def paint(self, canvas: Locator) -> None:
        """A stroke over the middle of the canvas."""
        box = _box(canvas)
        x, y, far = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"] / 5
        self.page.mouse.move(x - far, y)
        self.page.mouse.down()
        self.page.mouse.move(x + far, y, steps=4)
        self.page.mouse.up()


class Fingers(Mouse):
    """Taps and drags of one finger."""

    touches = True
    last = ("", 0.0)  # what was tapped, and when

    def press(self, target: Locator, done: Callable[[], object] | None = None) -> None:
        """Tap until it is done: on a machine that stands still meanwhile, a tap of more than half
        a second is a long press, and no click."""
        for _ in range(10):
            self._tap(target)
            with suppress(AssertionError):
                return wait_for(done or (lambda: True), bool, within_s=LONG_S / 10)
        pytest.fail(f"tapping {target} does nothing")

    def _tap(self, target: Locator) -> None:
        """Once its last tap is too long ago to be the first of a double one."""
        if str(target) == self.last[0]:
            time.sleep(max(0.0, self.last[1] + DOUBLE_S - time.monotonic()))
        target.tap()
        self.last = str(target), time.monotonic()

    def choose(self, boxes: list[Locator]) -> None:
        for box in boxes:
            self.press(box, box.is_checked)

    def slide_to_end(self, slider: Locator) -> None:
        box = _box(slider)
        y = box["y"] + box["height"] / 2
        self._drag((box["x"] + box["width"] / 2, y), (box["x"] + box["width"] - 1, y))

    def paint(self, canvas: Locator) -> None:
        box = _box(canvas)
        x, y, far = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"] / 5
        self._drag((x - far, y), (x + far, y))

    def _drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        session = self.page.context.new_cdp_session(self.page)
        for n in range(5):
            x, y = (a + (b - a) * n / 4 for a, b in zip(start, end, strict=True))
            kind = "touchMove" if n else "touchStart"
            session.send(
                "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]}
            )
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        session.detach()


class Keyboard(Mouse):
    """Tab, Enter, Space and arrows; what has the focus is seen to have it."""

    def reach(self, target: Locator) -> None:
        """Tab until it has the focus, visibly."""
        target.wait_for()
        for _ in range(TABS_MAX):
            if target.evaluate(FOCUSED):
                assert target.evaluate(SEEN), f"the focus on {target} is not seen"
                return
            self.page.keyboard.press("Tab")
        pytest.fail(f"Tab never reaches {target}")

    def press(self, target: Locator, done: Callable[[], object] | None = None) -> None:
        self.reach(target)
        box = target.evaluate("node => node.matches('input[type=checkbox]')")
        self.page.keyboard.press("Space" if box else "Enter")
        if done:
            wait_until(done)

    def write(self, target: Locator, text: str) -> None:
        self.reach(target)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def draw(self, done: Callable[[], object]) -> None:
        self.page.keyboard.press("Control+Enter")
        wait_until(done)

    def pick_date(self, target: Locator, date: str) -> None:
        year, month, day = date.split("-")
        self.reach(target)
        self.page.keyboard.type(f"{month}{day}{year}")

    def choose(self, boxes: list[Locator]) -> None:
        self.reach(boxes[0])
        self.page.keyboard.press("Space")
        for box in boxes[1:]:
            self.page.keyboard.press("ArrowRight")
            wait_until(lambda box=box: box.evaluate(FOCUSED))
            self.page.keyboard.press("Space")

    def slide_to_end(self, slider: Locator) -> None:
        self.reach(slider)
        self.page.keyboard.press("End")

    def paint(self, canvas: Locator) -> None:
        self.reach(canvas)
        self.page.keyboard.press("Space")
        self.page.keyboard.press("ArrowRight")
        self.page.keyboard.press("Space")


def _box(target: Locator) -> dict:
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    assert box
    return dict(box)
