"""Which room may import which, and that the web starts without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

FREE_OF_TORCH = [
    "limner.web.app",
    "limner.settings",
    "limner.imaging",
    "limner.usecases.generate",
    "limner.engine.fake",
    "limner.cli.main",
]


def test_import_contracts_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lint_imports(cache_dir=None) == EXIT_STATUS_SUCCESS


@pytest.mark.parametrize("module", FREE_OF_TORCH)
def test_a_fresh_interpreter_imports_it_without_torch(module: str) -> None:
    code = f"import sys, {module}; print('torch' in sys.modules, 'diffusers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
