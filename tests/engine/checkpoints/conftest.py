"""One narrow checkpoint as models, tensors, a file, a folder and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from limner.engine.checkpoints import weights
from tests.engine import checkpoint_files
from tests.engine.checkpoints.writing import Tensors, plain


@pytest.fixture(scope="session")
def parts() -> dict[str, Any]:
    return plain()


@pytest.fixture(scope="session")
def single_file(parts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("single")
    return checkpoint_files.write_single_file(folder / "narrow.safetensors", parts)


@pytest.fixture(scope="session")
def folder(parts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint_files.write_folder(tmp_path_factory.mktemp("folder") / "narrow", parts)


@pytest.fixture(scope="session")
def loaded(single_file: Path) -> weights.Checkpoint:
    return weights.load(single_file, device="cpu", dtype="float32")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def tensors() -> Tensors:
    return checkpoint_files.original(plain())
