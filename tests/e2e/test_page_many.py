"""Ten thousand pictures in the library: few requests, short tasks, memory that does not grow."""

from __future__ import annotations

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.e2e.browser import Visitor
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

NUMBER = 10_000
NODES_MAX = 400
STEPS = 40
TASK_MAX_MS = 50  # of processor time, of any task of the page's thread
GROWS_MAX = 2_000_000  # bytes of JavaScript's heap, from one walk to and fro to the third

# The server's part, answered in the page: thousands of answers by way of the test take minutes.
SERVER = """(() => {
  const real = window.fetch;
  const blank = new Blob(["no picture"], { type: "image/webp" });
  const row = (n) => ({ id: `pic_${n}`, request_id: `req_${n}`, prompt: `picture ${n}`, index: 0,
    seed: n, width: 512, height: 512, starred: false, folder: null, removed_at: null,
    created_at: "2026-01-01T00:00:00Z" });
  window.asked = [];
  window.fetch = (address, options) => {
    const url = new URL(address);
    if (!url.pathname.startsWith("/api/pictures")) return real(address, options);
    window.asked.push(url.pathname + url.search);
    if (url.pathname !== "/api/pictures") return Promise.resolve(new Response(blank));
    const limit = Number(url.searchParams.get("limit"));
    const top = Number(url.searchParams.get("after") ?? NUMBER);
    const pictures = Array.from({ length: Math.min(limit, top) }, (_, i) => row(top - i));
    const next = top > limit ? String(top - limit) : null;
    return Promise.resolve(new Response(JSON.stringify({ pictures, next })));
  };
})()""".replace("NUMBER", str(NUMBER))

LOAD = """async () => {
  const room = document.querySelector("#library");
  const said = document.querySelector("#library-count");
  while (said.textContent.includes("older")) {
    room.scrollTop = room.scrollHeight;
    await new Promise(requestAnimationFrame);
  }
}"""

WALK = """async ([from, to, steps]) => {
  const room = document.querySelector("#library");
  for (let i = 1; i <= steps; i++) {
    room.scrollTop = from + (to - from) * (i / steps);
    await new Promise(requestAnimationFrame);
  }
}"""


class Tasks:
    """What the threads of pages do in Chromium, task by task, in their own processor time."""

    def __init__(self, page: Page, session: CDPSession) -> None:
        self.page, self.session = page, session
        self.events: list[dict] = []
        self.complete = False
        session.on("Tracing.dataCollected", lambda told: self.events.extend(told["value"]))
        session.on("Tracing.tracingComplete", self._completed)

    def _completed(self, _: dict) -> None:
        self.complete = True

    def begin(self) -> None:
        self.events, self.complete = [], False
        config = {"includedCategories": ["toplevel"]}
        self.session.send("Tracing.start", {"traceConfig": config})

    def longest_ms(self) -> float:
        """The longest since ``begin``, with what it cost to trace it."""
        self.session.send("Tracing.end")
        wait_until(lambda: self.page.evaluate("true") and self.complete)
        named = [event for event in self.events if event["name"] == "thread_name"]
        pages = {_thread(e) for e in named if e["args"]["name"] == "CrRendererMain"}
        tasks = [e for e in self.events if "RunTask" in e["name"] and _thread(e) in pages]
        return max(task.get("tdur", 0) for task in tasks) / 1000


def _thread(event: dict) -> tuple[int, int]:
    return event["pid"], event["tid"]


def heap(session: CDPSession) -> float:
    """Bytes of JavaScript's heap that are in use."""
    session.send("HeapProfiler.collectGarbage")
    told = session.send("Performance.getMetrics")["metrics"]
    return {row["name"]: row["value"] for row in told}["JSHeapUsedSize"]


def test_ten_thousand_are_nothing_special(visit, chromium):
    visitor: Visitor = visit()
    page = visitor.page
    page.add_init_script(SERVER)
    page.goto(visitor.place.url + "/#library")
    page.reload()
    expect(page.locator("#grid .cell img").first).to_be_attached()
    lists = "window.asked.filter((path) => path.includes('?limit')).length"
    assert page.evaluate(lists) <= 6
    assert page.evaluate("window.asked.length") <= 100  # with thumbnails of what is in sight
    page.evaluate(LOAD)
    expect(page.locator("#library-count")).to_have_text("10,000 pictures")
    assert page.evaluate(lists) <= NUMBER // 100 + 6
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    bottom, used = page.evaluate("document.querySelector('#library').scrollHeight"), []
    tasks = Tasks(page, chromium.new_browser_cdp_session())
    for _ in range(3):
        tasks.begin()
        # Each turn brings rows into sight that were not there.
        page.evaluate(WALK, [0, bottom, STEPS])
        page.evaluate(WALK, [bottom, 0, STEPS])
        longest = tasks.longest_ms()
        assert 0 < longest < TASK_MAX_MS, longest
        assert page.locator("#grid *").count() <= NODES_MAX
        used.append(heap(session))
    assert used[2] - used[0] < GROWS_MAX, used
    assert page.locator("#strip *").count() <= NODES_MAX
