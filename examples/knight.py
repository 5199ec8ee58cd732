"""The picture on the front page: ``.venv/bin/python examples/knight.py`` draws it.

It is the plain file with its metadata, so ``limner replay docs/images/knight.png`` draws it again.
"""

from __future__ import annotations

import sys
from pathlib import Path

from limner.cli.sheeting import draw
from limner.settings import load

OUTPUT = Path(__file__).parents[1] / "docs" / "images" / "knight.png"
BODY = {
    "prompt": "a knight in red armor, desert background",
    "num_inference_steps": 30,
    "guidance_scale": 3.5,
    "seed": 17,
}


def main(output: Path) -> None:
    """Draw the knight."""
    [picture] = draw(load(), [BODY])
    output.write_bytes(picture.encode("png"))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT)
