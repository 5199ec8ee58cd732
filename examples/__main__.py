"""Draw every example again: ``.venv/bin/python -m examples`` (``make examples``)."""

from __future__ import annotations

import runpy
from pathlib import Path

if __name__ == "__main__":
    for script in sorted(Path(__file__).parent.glob("[!_]*.py")):
        print(script.stem, flush=True)
        runpy.run_path(str(script), run_name="__main__")
