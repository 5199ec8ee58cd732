"""The words that Squire was taught, for `limner explain` and the page: assets/squire/words.txt.

Words of captions, filler included: it was taught that those mean nothing here. What `words.py`
keeps out on purpose stays out. `python -m training.vocabulary` writes the file.
"""

from __future__ import annotations

from pathlib import Path

import limner.assets
from limner.usecases.prompting import vocabulary
from training import words

FILE = Path(limner.assets.__file__).parent / "squire" / vocabulary.FILE


def known() -> list[str]:
    """All of them, sorted."""
    texts = [*words.known_texts(), *words.FILLER]
    return sorted({word for text in texts for word in vocabulary.words(text)})


if __name__ == "__main__":
    FILE.write_text("\n".join(known()) + "\n", encoding="utf-8")
