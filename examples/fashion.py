"""A fashion series on one seed: gowns with floral ornament, colour by colour.

The seed keeps the figure; the prompt changes the cloth. The last row lays flowers and feathers
over it with `AND`, whose second prompt has a weight of its own. Run it:
``.venv/bin/python examples/fashion.py`` draws ``docs/images/fashion.png``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from limner.cli.sheeting import draw
from limner.settings import load
from limner.usecases.pictures.sheet import Cell, Sheet, to_small_png

OUTPUT = Path(__file__).parents[1] / "docs" / "images" / "fashion.png"
COLOURS = ("red", "pink", "yellow", "green", "blue", "purple")
CUTS = {
    "plain gown": "female mage with {0} gown, long blond hair",
    "floral ornament": "female mage with {0} gown, (floral ornament:1.2), long blond hair",
    "flowers, feathers": "female mage with {0} gown, floral, long blond hair"
    " AND female mage with {0} gown, feathers :0.5",
}
COMMON = {
    "negative_prompt": "hat, hood",
    "num_inference_steps": 30,
    "guidance_scale": 4.5,
    "seed": 1204,
}


def main(output: Path) -> None:
    """Draw the series and write its sheet."""
    bodies = [
        {**COMMON, "prompt": cut.format(colour).replace(" AND", ", castle hall AND")}
        if " AND" in cut
        else {**COMMON, "prompt": f"{cut.format(colour)}, castle hall"}
        for cut in CUTS.values()
        for colour in COLOURS
    ]
    cells = [Cell.of(picture) for picture in draw(load(), bodies)]
    rows = [tuple(cells[i : i + len(COLOURS)]) for i in range(0, len(cells), len(COLOURS))]
    sheet = Sheet(
        title="Gowns on one seed",
        cells=tuple(rows),
        columns=COLOURS,
        rows=tuple(CUTS),
        notes=(f"Seed {COMMON['seed']} throughout; only the prompt changes.",),
    )
    output.write_bytes(to_small_png(sheet, 128))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT)
