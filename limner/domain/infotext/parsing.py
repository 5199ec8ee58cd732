"""A text block in parts exactly as AUTOMATIC1111 reads it."""

from __future__ import annotations

import json
import re
from typing import Any

from limner.errors import InvalidInput

NEGATIVE = "Negative prompt:"
PAIRS_MIN = 3
TEXT_LENGTH_MAX = 1_000_000
# Names begin where a run of their letters begins: nothing is read twice, however long the text.
_PAIR = re.compile(
    r"(?<![\w /-])[ /-]*+(\w[\w /-]++):\s*+" r'("(?:\\.|[^\\"])++"(?=,|\Z)|[^,]*)(?:,|\Z)',
    re.DOTALL,
)
_SIZE = re.compile(r"(\d+)x(\d+)")


def parse(text: str) -> dict[str, Any]:
    """The prompts of a text block, and its pairs by name.

    The last line holds pairs if there are at least three. A size is split into ``Size-1`` and
    ``Size-2``, and so is every other pair of that form. Takes time in proportion to ``text``.

    Raises ``InvalidInput`` for a text longer than ``TEXT_LENGTH_MAX``.
    """
    check_length(text)
    *lines, last = text.strip().split("\n")
    pairs = _PAIR.findall(last)
    if len(pairs) < PAIRS_MIN:
        lines, pairs = [*lines, last], []
    prompt, negative = split_prompts(lines)
    read = {key: part for name, value in pairs for key, part in _pair(name, value).items()}
    return {**read, "Prompt": prompt, "Negative prompt": negative}


def check_length(text: str) -> None:
    """Raises ``InvalidInput`` for a text that nobody posts."""
    if len(text) > TEXT_LENGTH_MAX:
        raise InvalidInput(
            "image",
            f"image holds a text of {len(text):,} characters; at most {TEXT_LENGTH_MAX:,} are read",
        )


def has_pairs(line: str) -> bool:
    """Whether a line is one of settings."""
    return len(_PAIR.findall(line)) >= PAIRS_MIN


def split_prompts(lines: list[str]) -> tuple[str, str]:
    """Prompt and negative prompt of the lines before the settings."""
    prompts: tuple[list[str], list[str]] = [], []
    part = prompts[0]
    for line in map(str.strip, lines):
        if line.startswith(NEGATIVE):
            part, line = prompts[1], line.removeprefix(NEGATIVE).strip()
        part.append(line)
    prompt, negative = ("\n".join(part).strip() for part in prompts)
    return prompt, negative


def unquoted(value: str) -> Any:
    """What a value in quotes says; another one as it is."""
    if not (value.startswith('"') and value.endswith('"')):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _pair(name: str, value: str) -> dict[str, Any]:
    if size := _SIZE.fullmatch(value):
        return {f"{name}-1": size[1], f"{name}-2": size[2]}
    return {name: unquoted(value)} if value else {}
