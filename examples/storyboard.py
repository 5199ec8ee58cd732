"""A storyboard from a script: each line of the script is a frame, its hero the same in all.

The script is text: what is said, and behind a bar what is seen. The hero's description is the
prompt; the frames are lines of `style_mix.sequence`. Run it:
``.venv/bin/python examples/storyboard.py``
draws ``docs/images/storyboard.png``; a script of your own can be given as a file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from limner.cli.sheeting import draw
from limner.settings import load
from limner.usecases.pictures.sheet import Cell, gallery, to_small_png

OUTPUT = Path(__file__).parents[1] / "docs" / "images" / "storyboard.png"
HERO = "knight with red armor, helmet, sword"
SCRIPT = """
At dawn she leaves the village. | village background, day
The forest is darker than she was told. | forest background, gloomy
On the third day, dunes. | desert background, day
The mountain keeps its snow, and its fog. | mountains background, foggy
Below it is a cave that glows. | cave background, dark lighting
Beyond the cave the ground burns. | lava background, night
The sea is where the fire ends. | sea background, at sunset
They gave her a hall, and she stayed one night. | castle hall background, warm light
"""


def read(script: str) -> list[tuple[str, str]]:
    """What is said and what is seen, frame by frame."""
    lines = [line for line in script.splitlines() if line.strip()]
    frames = [line.partition("|") for line in lines]
    return [(said.strip(), (seen or said).strip()) for said, _, seen in frames]


def main(output: Path, script: str = SCRIPT) -> None:
    """Draw the script and write its sheet."""
    frames = read(script)
    body = {
        "prompt": HERO,
        "negative_prompt": "portrait",
        "style_mix": {"sequence": [seen for _, seen in frames]},
        "num_inference_steps": 30,
        "guidance_scale": 4.5,
        "seed": 5,
    }
    pictures = draw(load(), [body])
    cells = [Cell.of(picture, said) for picture, (said, _) in zip(pictures, frames, strict=True)]
    notes = (f"In every frame: {HERO}.",)
    output.write_bytes(to_small_png(gallery("The long way round", cells, 4, notes), 192))


if __name__ == "__main__":
    script = Path(sys.argv[1]).read_text(encoding="utf-8") if len(sys.argv) > 1 else SCRIPT
    main(OUTPUT if len(sys.argv) < 3 else Path(sys.argv[2]), script)
