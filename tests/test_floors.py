"""Which room may import which, that the web starts without torch, and how long files are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOM = Path(__file__).parents[1] / "limner"
FILE_LINES_MAX = 300
ENGINE_LINES_MAX = 700  # request, scheduler, loop and runner: to be read in one sitting

FREE_OF_TORCH = [
    "limner.web.app",
    "limner.settings",
    "limner.imaging",
    "limner.usecases.generate",
    "limner.engine.fake",
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
    whole = sum(lengths[f"engine/{name}.py"] for name in ("request", "scheduler", "loop", "runner"))
    assert whole <= ENGINE_LINES_MAX
