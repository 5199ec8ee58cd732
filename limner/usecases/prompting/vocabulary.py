"""Which words a model has been taught, where its folder says so: one a line in ``words.txt``.

The embedded model's list is made by ``training.vocabulary``. Of other checkpoints nothing is
known, so nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

FILE = "words.txt"
_WORD = re.compile(r"[^\W\d_]{2,}")


@lru_cache(maxsize=4)
def of_model(path: Path) -> frozenset[str] | None:
    """The words of the model in a folder, in small letters; None where they are not known."""
    try:
        return frozenset((path / FILE).read_text(encoding="utf-8").split())
    except OSError:
        return None


def words(text: str) -> list[str]:
    """The words of a text in small letters; numbers and single letters are none."""
    return _WORD.findall(text.lower())


def unlearned(texts: Iterable[str], known: frozenset[str]) -> list[str]:
    """The words that are not known, each once, in order."""
    found = (word for text in texts for word in words(text))
    return list(dict.fromkeys(word for word in found if word not in known))
