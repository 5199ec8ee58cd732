"""What the page shows and was refused, for the report of a test that failed out of sight."""

from __future__ import annotations

from collections import deque
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Error, Page, Response

LOOK_MS = 5_000  # a page whose thread hangs is not waited for
REFUSALS: deque[str] = deque(maxlen=20)

SAID = """() => [...document.querySelectorAll(
  "[role=alert], #notice, #announce, .failed, #queue, .job, #tray-more, dialog[open]")]
  .filter((node) => node.checkVisibility())
  .map((node) => [(node.id || node.className || node.tagName), node.innerText.slice(0, 300)])
  .filter(([, text]) => text.trim()).map(([name, text]) => `${name}: ${text.replace(/\\s+/g, " ")}`)
"""


def listen(browser: Browser) -> None:
    """Keep the answers of status 400 and more that its pages get: status and path alone."""
    browser.on("context", lambda context: context.on("response", _heard))


def _heard(response: Response) -> None:
    if response.status >= 400:
        REFUSALS.append(f"{response.status} {urlsplit(response.url).path}")


def told(browser: Browser) -> str:
    """A line for every visible error, notice and card of the tray of each page, and refusal."""
    pages = [page for context in browser.contexts for page in context.pages]
    return "\n".join([*(line for page in pages for line in _said(page)), *REFUSALS])


def _said(page: Page) -> list[str]:
    try:
        lines = page.wait_for_function(SAID, timeout=LOOK_MS).json_value()
    except Error as error:
        lines = [error.message.splitlines()[0]]
    place = urlsplit(page.url)
    return [f"{place.path}#{place.fragment}", *(f"  {line}" for line in lines)]
