"""Where training keeps what does not belong in the repository."""

from __future__ import annotations

import os
from pathlib import Path

ASSETS = Path(__file__).resolve().parents[1] / "limner" / "assets"
SQUIRE = ASSETS / "squire"
"""The model that ships."""
SATCHEL = ASSETS / "satchel"
"""The adapters that ship with it."""
TOKENIZER = ASSETS / "clip"


def work_dir() -> Path:
    """`$LIMNER_TRAINING_DIR`, by default `~/.cache/limner/training`; made when missing."""
    folder = Path(os.environ.get("LIMNER_TRAINING_DIR", "~/.cache/limner/training")).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder
