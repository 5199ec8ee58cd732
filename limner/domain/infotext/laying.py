"""How people lay out a text that they post: as a quotation, in a box, with bold names."""

from __future__ import annotations

import html
import json
import re
from typing import Any

_BOX = "```"
_QUOTED = re.compile(r"^[ \t]*>[ \t]?", re.MULTILINE)
_ESCAPED_TAG = re.compile(r"&lt;(?:lora|lyco|hypernet):")
_MARKED = re.compile(r"(\*\*|__|`)([\w /-]{1,40} ?:?)\1")


def plain(text: str) -> str:
    """Without what stands round the whole of it; lines end as they do here."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    text = text.strip("\ufeff \n")
    first, *lines = text.split("\n")
    if lines and first.startswith(_BOX) and lines[-1].strip() == _BOX:
        text = "\n".join(lines[:-1]).strip("\n ")
    if all(_QUOTED.match(line) for line in text.split("\n") if line.strip()):
        text = _QUOTED.sub("", text)
    return html.unescape(text) if _ESCAPED_TAG.search(text) else text


def unmarked(text: str) -> str:
    """With names that are bold or in a box of their own as they are."""
    return _MARKED.sub(r"\2", text)


def told(text: str) -> dict[str, str]:
    """The names and values of an object in JSON, as texts; empty for what is none.

    Of what lies within, the name of a model counts.
    """
    if not (text.startswith("{") and text.endswith("}")):
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {name: _said(value) for name, value in found.items()}


def _said(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("name") or value.get("model_name")
    return "" if value is None or isinstance(value, dict | list) else str(value)
