"""A party of game characters in one style: six heroes, by day and by night.

Everybody is drawn from the same seed with the same style, so that size, stance and light agree;
`style_mix.sequence` changes who it is, `subsequence` the hour. Run it:
``.venv/bin/python examples/party.py``
draws ``docs/images/party.png`` with the embedded model, or with the one of ``LIMNER_MODEL``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from limner.cli.sheeting import draw
from limner.settings import load
from limner.usecases.pictures.sheet import Cell, Sheet, to_small_png

OUTPUT = Path(__file__).parents[1] / "docs" / "images" / "party.png"
HEROES = {
    "Aldric": "knight with silver armor, plumed helmet, sword, shield",
    "Mirel": "elf archer with green leather armor, hood, bow",
    "Osk": "dwarf barbarian with brown leather outfit, horned helmet, battle axe",
    "Ione": "woman mage with purple robe, pointed hat, magic staff",
    "Brother Tam": "cleric with white robe, hood, mace",
    "Nyx": "rogue with black leather clothes, hooded, dagger",
}
HOURS = ("meadow background, daylight", "meadow background, night, stars")
BODY = {
    "prompt": "full body",
    "negative_prompt": "portrait",
    "style_mix": {
        "image_type": {"name": "pixel art", "weight": 1},
        "sequence": list(HOURS),
        "subsequence": list(HEROES.values()),
    },
    "num_inference_steps": 30,
    "guidance_scale": 4,
    "seed": 21,
}


def main(output: Path) -> None:
    """Draw the party and write its sheet."""
    pictures = draw(load(), [BODY])
    cells = [Cell.of(picture) for picture in pictures]
    sheet = Sheet(
        title="A party in one style",
        cells=(tuple(cells[: len(HEROES)]), tuple(cells[len(HEROES) :])),
        columns=tuple(HEROES),
        rows=("by day", "by night"),
        notes=("One request: a sequence of hours, a subsequence of heroes, one seed.",),
    )
    output.write_bytes(to_small_png(sheet, 128))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT)
