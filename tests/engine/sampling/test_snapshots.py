"""Fingerprints of the samplers' matrices, so that a diffusers that samples otherwise is noticed.

Refresh them after an upgrade whose differences are understood and wanted:

    python -m tests.engine.sampling.test_snapshots
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest

from limner.domain.schedulers import SCHEDULER_NAMES, SchedulerName
from limner.engine.sampling.matrices import Trace
from limner.engine.sampling.samplers import trace

SNAPSHOTS = Path(__file__).parent / "snapshots" / "samplers.json"


def fingerprint(matrix: Trace) -> dict[str, Any]:
    """Each row as its product with one fixed vector: small to keep, and any change shows."""
    probe = np.cos(np.arange(matrix.columns) * 1.7) + 0.1
    return {
        "draws": matrix.draws,
        "timesteps": [float(f"{t:.8g}") for t in matrix.timesteps],
        "inputs": [float(f"{value:.8g}") for value in matrix.inputs @ probe],
        "final": float(f"{matrix.final @ probe:.8g}"),
        "keep": [float(f"{value:.8g}") for value in matrix.keep @ np.array([1.0, 0.7])],
    }


def snapshot(name: SchedulerName) -> dict[str, Any]:
    return {
        "20 steps": fingerprint(trace(name, 20)),
        "10 steps, inpaint 0.5": fingerprint(trace(name, 10, strength=0.5, mode="inpaint")),
    }


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
def test_the_matrices_are_those_of_the_tested_diffusers(name):
    kept = json.loads(SNAPSHOTS.read_text())
    advice = (
        f"{name}: diffusers {diffusers.__version__} samples otherwise than {kept['diffusers']} "
        "did. Pictures of known seeds will change. If that is understood and wanted, run: "
        "python -m tests.engine.sampling.test_snapshots"
    )
    for case, ours in snapshot(name).items():
        for part, value in ours.items():
            theirs = kept["schedulers"][name][case][part]
            assert value == pytest.approx(theirs, rel=2e-5, abs=2e-5), f"{advice} ({case}, {part})"


def refresh() -> None:
    kept = {name: snapshot(name) for name in SCHEDULER_NAMES}
    text = json.dumps({"diffusers": diffusers.__version__, "schedulers": kept})
    SNAPSHOTS.parent.mkdir(exist_ok=True)
    SNAPSHOTS.write_text(text.replace('"DD', '\n"DD').replace("]}}, ", "]}},\n") + "\n")


if __name__ == "__main__":
    refresh()
