"""Every style of the catalogue on a sheet: one prompt, one seed, kind by kind.

Run it: ``.venv/bin/python examples/styles.py`` draws ``docs/images/styles-mood.png`` and seven
more. A small
model knows few of the words, so most of its pictures look alike.
"""

from __future__ import annotations

import sys
from pathlib import Path

from limner.cli.sheeting import KINDS, styles
from limner.settings import load
from limner.usecases.pictures.sheet import to_small_png

OUTPUT = Path(__file__).parents[1] / "docs" / "images"
BODY = {
    "prompt": "a woman with a cloak, castle background",
    "num_inference_steps": 14,
    "guidance_scale": 5,
    "seed": 12,
}


def main(folder: Path) -> None:
    """Draw the sheets of all kinds into ``folder``."""
    settings = load()
    for kind in KINDS:
        sheet = styles(settings, BODY, kind)
        (folder / f"styles-{kind}.png").write_bytes(to_small_png(sheet, 96))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT)
