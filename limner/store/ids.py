"""Names for new rows: a prefix that says what it is, and 128 random bits."""

from __future__ import annotations

import secrets


def new(prefix: str) -> str:
    """A fresh id such as ``req_5f0c...`` (32 hex digits)."""
    return f"{prefix}_{secrets.token_hex(16)}"
