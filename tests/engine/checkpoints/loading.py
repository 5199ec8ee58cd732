"""Loading on the CPU in float32, and what is done to folders before."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from limner.engine.checkpoints import weights


def load(path: Path | None, **options: Any) -> weights.Checkpoint:
    return weights.load(path, **{"device": "cpu", "dtype": "float32", **options})


def assert_equal(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    found, expected = ours.state_dict(), theirs.state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    buffers = dict(theirs.named_buffers())
    for name, buffer in ours.named_buffers():
        assert torch.equal(buffer, buffers[name]), name


def copy(folder: Path, target: Path) -> Path:
    """The folder again; its files are shared, so replace them rather than write into them."""
    return Path(shutil.copytree(folder, target, copy_function=os.link))


def edit_json(path: Path, **changes: Any) -> None:
    values = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps(values | changes))
