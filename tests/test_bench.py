"""Benchmarks work before they are needed: short forms of them find no fault."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_every_part_of_the_gpu_benchmark_runs_on_a_cpu(tmp_path):
    told = tmp_path / "table.json"
    options = ["--device", "cpu", "--dtype", "float32", "--small", "--json", str(told)]
    subprocess.run([sys.executable, "-m", "bench.gpu", *options], check=True, timeout=280)
    rows = dict(json.loads(told.read_text()))
    assert not [what for what, figure in rows.items() if "FAILED" in figure or "left out" in figure]
    assert rows["shared: the same picture alone and in company"].startswith("at most 0/255")
    assert {"UNet, 8 rows", "diffusers eager, batch 1"} <= rows.keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("generated", "--requests", "400"), ("flood", "--others", "6", "--flooding", "6")]
)
def test_no_load_with_planted_faults_spoils_the_books(words):
    name, *options = words
    more = ["--each", "1"] if name == "flood" else []
    command = [sys.executable, "-m", f"bench.{name}", *options, *more, "--faults", "0.05"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
