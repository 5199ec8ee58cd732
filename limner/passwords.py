"""Passwords in the addresses of databases, kept out of what is shown."""

from __future__ import annotations

import re

# A password may hold ":", "/" and "@"; a URL's query may hold one, too.
_PASSWORD = re.compile(r"(\w+://[^\s:/@]*):\S+@")
_NAMED_PASSWORD = re.compile(r"(?i)\b(password=)[^\s&]+")


def without_password(text: str) -> str:
    """``text`` with ``***`` in place of the passwords of the URLs in it."""
    return _NAMED_PASSWORD.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))
