"""From a server's refusal back to the error it was raised as."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from limner import errors
from limner.errors import LimnerError

_AVAILABLE = r"(?:balance is|may spend) (\d+(?:\.\d+)?)"
_PRICE = r"(?:price is|price|cost) (\d+(?:\.\d+)?)"
_PLAIN: Mapping[int, type[LimnerError]] = {
    404: errors.NotFound,
    405: errors.NotAllowed,
    410: errors.Gone,
    413: errors.BodyTooLarge,
    422: errors.IdempotencyMismatch,
}


def of_answer(status: int, text: str, retry_after_s: float | None = None) -> LimnerError:
    """The error of an answer that is not 2xx; ``text`` is its body."""
    said = _sentence(text) or f"The server answered {status}"
    if status == 400:
        field = re.match(r"[\w.-]+", said)
        return errors.InvalidInput(field[0] if field else "", said)
    if status == 401:
        return errors.Unauthenticated(said) if "Missing" in said else errors.InvalidKey(said)
    if status == 403:
        kind = errors.LicenceNotAccepted if "licence" in said else errors.Forbidden
        return kind(said)
    if status == 406:
        return _not_acceptable(said)
    if status == 422 and said.endswith("was cancelled"):
        return errors.Aborted(said)
    if status == 429:
        return errors.LimitExceeded(said, round(retry_after_s or 1))
    if status in (502, 503, 504):
        return errors.Unavailable(said, round(retry_after_s or 5))
    if status == 422 and "was cancelled" in said:
        return errors.Aborted(said)
    return _PLAIN.get(status, errors.EngineFault)(said)


def of_request(stored: Mapping[str, Any]) -> LimnerError:
    """The error of a request that ended without pictures."""
    text = stored["error"] or f"Request {stored['request_id']} was not drawn"
    return errors.Aborted(text) if stored["status"] == "CANCELLED" else errors.EngineFault(text)


def _not_acceptable(said: str) -> LimnerError:
    if said.startswith("Insufficient credits"):
        available, price = (_micro(pattern, said) for pattern in (_AVAILABLE, _PRICE))
        return errors.InsufficientCredits(said, available_micro=available, price_micro=price)
    if said.startswith("scheduler"):
        return errors.UnknownScheduler("scheduler", said)
    return errors.WrongContentType(said)


def _micro(pattern: str, said: str) -> int:
    """The credits that a sentence names, in micro-credits; 0 where it names none."""
    found = re.search(pattern, said)
    return int(Decimal(found[1]) * 1_000_000) if found else 0


def _sentence(text: str) -> str:
    try:
        said = json.loads(text).get("error")
    except (ValueError, AttributeError):
        return ""
    return said if isinstance(said, str) else ""
