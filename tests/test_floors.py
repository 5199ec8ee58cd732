"""Which room may import which, that the web starts without torch, and how long files are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOM = Path(__file__).parents[1] / "limner"
FILE_LINES_MAX = 300
ENGINE_LINES_MAX = 700  # together, to be read in one sitting
HOT_PATH = (
    "engine/batching/image.py",
    "engine/batching/scheduler.py",
    "engine/batching/loop.py",
    "engine/sampling/runner.py",
)

FREE_OF_TORCH = [
    "limner.web.app",
    "limner.settings",
    "limner.imaging",
    "limner.usecases.drawing.generate",
    "limner.engine.batching.fake",
    "limner.cli.main",
]


def test_import_contracts_hold() -> None:
    # In a process of its own: the linter switches off every logger that exists where it runs.
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_fresh_interpreter_imports_them_without_torch() -> None:
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert not {'torch', 'diffusers'} & set(sys.modules), name"
    )
    command = [sys.executable, "-c", code, *FREE_OF_TORCH]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_files_can_be_held_in_the_head() -> None:
    lengths = {
        str(file.relative_to(ROOM)): len(file.read_text(encoding="utf-8").splitlines())
        for file in ROOM.rglob("*.py")
    }
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX} == {}
    assert sum(lengths[name] for name in HOT_PATH) <= ENGINE_LINES_MAX
