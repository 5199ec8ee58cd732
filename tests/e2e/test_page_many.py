"""Ten thousand pictures in the library: few requests, short tasks, memory that does not grow."""

from __future__ import annotations

import pytest
from playwright.sync_api import CDPSession, expect

from tests.e2e.browser import Visitor

pytestmark = pytest.mark.slow

NUMBER = 10_000
NODES_MAX = 400
STEPS = 40
TASK_MAX_S = 0.05  # of each turn of the wheel, whose work is several tasks
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


class Measures:
    """What the page's thread has done, in seconds of its own processor time, and its heap."""

    def __init__(self, session: CDPSession) -> None:
        self.session = session
        session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def read(self, name: str) -> float:
        told = self.session.send("Performance.getMetrics")["metrics"]
        return {row["name"]: row["value"] for row in told}[name]

    def busy(self) -> float:
        """Seconds of scripts, styles and layout; what paints is the browser's own."""
        return sum(map(self.read, ("ScriptDuration", "RecalcStyleDuration", "LayoutDuration")))

    def heap(self) -> float:
        self.session.send("HeapProfiler.collectGarbage")
        return self.read("JSHeapUsedSize")


def test_ten_thousand_are_nothing_special(visit):
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
    measures = Measures(page.context.new_cdp_session(page))
    bottom, used = page.evaluate("document.querySelector('#library').scrollHeight"), []
    for _ in range(3):
        before = measures.busy()
        # Each turn brings rows into sight that were not there.
        page.evaluate(WALK, [0, bottom, STEPS])
        page.evaluate(WALK, [bottom, 0, STEPS])
        each = (measures.busy() - before) / (2 * STEPS)
        assert 0 < each < TASK_MAX_S, each
        assert page.locator("#grid *").count() <= NODES_MAX
        used.append(measures.heap())
    assert used[2] - used[0] < GROWS_MAX, used
    assert page.locator("#strip *").count() <= NODES_MAX
