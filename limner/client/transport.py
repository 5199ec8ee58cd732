"""What both clients do alike with httpx."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import httpx

from limner.client.steps import Answer, Follow

URL = "http://127.0.0.1:8420"
# The server sends something every 15 s.
SILENCE_MAX_S = 45.0


def settings(
    url: str | None, key: str | None, timeout_s: float, headers: Mapping[str, str]
) -> dict[str, Any]:
    """What both clients give to httpx. Raises ``ValueError`` without a key."""
    key = key or os.environ.get("LIMNER_KEY")
    if not key:
        raise ValueError("key is missing; give key='SG_...' or set LIMNER_KEY")
    return {
        "base_url": (url or os.environ.get("LIMNER_URL") or URL).rstrip("/"),
        "headers": {**headers, "x-api-key": key},
        "timeout": timeout_s,
    }


def answer(response: httpx.Response) -> Answer:
    wait = response.headers.get("retry-after", "")
    text = "" if response.is_success else response.text
    seconds = float(wait) if wait.isdigit() else None
    return Answer(response.status_code, text, response.content, seconds)


def unreachable(client: httpx.Client | httpx.AsyncClient, error: httpx.TransportError) -> Answer:
    reason = str(error) or type(error).__name__
    return Answer(0, f"The server at {client.base_url} cannot be reached: {reason}")


def read_timeout(step: Follow) -> httpx.Timeout:
    left = SILENCE_MAX_S if step.until is None else step.until - time.monotonic()
    return httpx.Timeout(10.0, read=min(SILENCE_MAX_S, max(0.001, left)))
