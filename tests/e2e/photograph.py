"""Takes docs/playground.png: a real server, the embedded model, and a few pictures.

``python -m tests.e2e.photograph`` (needs Chromium, as the page's tests do).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from tests.e2e import browser, servers
from tests.e2e.servers import Server

TARGET = Path(__file__).parents[2] / "docs" / "playground.png"
VIEWPORT = {"width": 1280, "height": 800}
# Drawn before the knight of the page's own example, oldest first; they fill the gallery.
OTHERS = (
    "a dragon with red wings, mountain background",
    "an archer in green robe, forest background",
    "a treasure chest, dungeon background",
    "a wizard in blue robe with a staff, forest background",
    "a skeleton with a sword, dungeon background",
)
SEED = "17"


def draw_others(server: Server) -> None:
    for prompt in OTHERS:
        body = {"prompt": prompt, "guidance_scale": 4.5, "seed": int(SEED), "base64": True}
        answer = httpx.post(
            f"{server.url}/v1/sd1.5-rpg", json=body, headers=server.headers, timeout=120
        )
        answer.raise_for_status()


def draw_the_example(page: Page, server: Server) -> None:
    page.goto(server.url + "/")
    page.fill("#key", server.key)
    page.keyboard.press("Enter")
    page.wait_for_selector("#price strong")
    page.fill("#seed", SEED)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#tray .job")
    expect(page.locator("#tray .job")).to_have_count(0, timeout=120_000)
    page.wait_for_selector(f"text=seed {SEED}")
    expect(page.locator("#strip img")).to_have_count(len(OTHERS) + 1)
    page.wait_for_selector("#queue:text-is('Nobody is waiting')")
    # Nothing has the focus, and the desk stands at its beginning.
    page.evaluate("document.activeElement.blur(); document.querySelector('#desk').scrollTop = 0")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, browser.chromium() as chromium:
        server = servers.start(Path(folder) / "data")
        draw_others(server)
        page = chromium.new_page(viewport=VIEWPORT)
        draw_the_example(page, server)
        page.screenshot(path=TARGET)
        server.stop()
    print(TARGET)


if __name__ == "__main__":
    main()
