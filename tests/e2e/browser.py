"""Headless Chromium and a server for it: the real application, SQLite, and the fake engine."""

from __future__ import annotations

import base64
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

from limner import imaging
from limner.cli import serving
from limner.domain.model import ModelInfo
from limner.engine.batching.fake import FAKE_MODEL
from limner.settings import Settings
from limner.store import keys
from limner.store.db import Database
from tests.e2e.servers import free_port
from tests.waiting import LONG_S, HeldEngine, wait_until

OPEN = ("QUEUED", "PROCESSING")
expect.set_options(timeout=LONG_S * 1000)

SPRITE_MODEL = replace(FAKE_MODEL, name="Fake painter", sprite_pixels=16)
# A name in a network of one's own: browsers call an http address there insecure, unlike 127.0.0.1.
LAN = "limner.lan"
ARGUMENTS = (
    f"--host-resolver-rules=MAP {LAN} 127.0.0.1",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; where it is not installed the test is skipped, in CI it fails."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        missing = "Chromium is not installed (apt-get install chromium)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@dataclass
class Playground:
    """A running server; ``step_s`` is how long its engine takes for a step."""

    url: str
    database: Database
    engine: HeldEngine

    def make_key(self, credits_micro: int = 10_000_000) -> str:
        with self.database.begin() as conn:
            plain, _ = keys.create(conn, name="artist", credits_micro=credits_micro)
        return plain

    def api(self, key: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"x-api-key": key}, timeout=LONG_S)

    def slow_down(self, step_s: float) -> None:
        self.engine.fake.step_s = step_s


@contextmanager
def playground(
    folder: Path,
    model: ModelInfo = SPRITE_MODEL,
    others: Sequence[ModelInfo] = (),
    models_dirs: Sequence[Path] = (),
) -> Iterator[Playground]:
    """The application behind uvicorn in a thread of this process.

    ``others`` can be chosen beside ``model``, where they lie in ``models_dirs``.
    """
    url = f"http://127.0.0.1:{(port := free_port())}"
    settings = Settings(data_dir=folder, port=port, public_url=url, models_dirs=tuple(models_dirs))
    database = Database.open(settings.database_url)
    engine = HeldEngine(held=False, step_s=0.01, model=model, others=others)
    engine.wait_ready()
    app = serving.make_app(settings, database, engine)
    server = uvicorn.Server(uvicorn.Config(app, loop="asyncio", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    yield Playground(url, database, engine)
    server.should_exit = True
    thread.join(LONG_S)
    engine.close()
    database.close()


class Visitor:
    """A page at the desk; what it complains of in its console is kept in ``complaints``."""

    def __init__(self, page: Page, place: Playground, key: str | None) -> None:
        self.page, self.place, self.key = page, place, key or ""
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._heard)
        page.set_default_timeout(LONG_S * 1000)
        page.goto(place.url + "/")
        if key:
            page.fill("#key", key)
            page.keyboard.press("Enter")
            page.wait_for_selector("#credits strong")
            page.wait_for_selector("#price strong")
            # The form goes last; until then what opens the key's dialog points at it instead.
            page.wait_for_selector("#key", state="detached")

    def _heard(self, message) -> None:
        # A refused call is told by the browser too; the page shows the server's sentence.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def draw(self, steps: int = 20) -> None:
        """Set few steps, draw, and wait for the pictures."""
        self.set_steps(steps)
        self.page.click("#draw")
        self.wait_until_drawn()

    def begin(self) -> None:
        """Draw until a preview is there, and hold the engine then."""
        self.place.engine.hold()
        self.set_steps(150)
        self.page.click("#draw")
        self.page.wait_for_selector("#tray .job")
        preview = self.page.locator(".tile img[src^='data:']")
        wait_until(lambda: self.place.engine.release(1) or preview.count())

    def set_steps(self, steps: int) -> None:
        self.page.locator("#steps").evaluate(
            "(node, n) => { node.value = n; node.dispatchEvent(new Event('input')) }", steps
        )

    def wait_until_drawn(self) -> None:
        expect(self.page.locator("#tray .job")).to_have_count(0)
        self.page.wait_for_selector("#act-replay")
        self.page.wait_for_selector(".tile img")
        # A picture is shown as it comes; it is billed, and stored with its request, a moment later.
        # The page may have gone over to another key since, for which nobody waits here.
        wait_until(lambda: not self.key or all(r["status"] not in OPEN for r in self.stored()[:1]))

    def stored(self) -> list[dict]:
        """The caller's requests on the server, newest first."""
        with self.place.api(self.key) as api:
            return api.get("/api/requests").json()["requests"]


DROP = """([data, type]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "picture", { type }));
  const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
  document.body.dispatchEvent(new DragEvent("drop", options));
}"""


def drop(page: Page, data: bytes, type: str = "image/png") -> None:
    """Drop a picture's file on the page."""
    page.evaluate(DROP, [base64.b64encode(data).decode(), type])


def a_picture(width: int = 96, height: int = 64) -> bytes:
    """A grey PNG."""
    return imaging.to_png(np.full((height, width, 3), 128, np.uint8))
