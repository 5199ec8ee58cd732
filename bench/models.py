"""How long a library of models takes to list: the first time, anew, and when nothing changed.

    python -m bench.models [--loras 900] [--checkpoints 100]

Headers are as long as those of real files. LoRAs have holes where those have numbers; the
checkpoints are one small file under many names.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import tempfile
import time
from pathlib import Path

from limner.models.listing import Library
from tests.engine import checkpoint_files


def main() -> None:
    """Make the files, list them three times, and say how long each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loras", type=int, default=900)
    parser.add_argument("--checkpoints", type=int, default=100)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models, data = Path(folder, "models"), Path(folder, "data")
        models.mkdir()
        whole = checkpoint_files.write_single_file(
            Path(folder, "whole.safetensors"), checkpoint_files.models()
        )
        for number in range(asked.loras):
            write(models / f"lora-{number}.safetensors", lora())
        for number in range(asked.checkpoints):
            os.link(whole, models / f"checkpoint-{number}.safetensors")
        for what, library in (
            ("first", kept := Library(data, [models])),
            ("in a new process, from the index", Library(data, [models])),
            ("again in the same process", kept),
        ):
            begun, busy = time.perf_counter(), time.process_time()
            count = len(library.entries())
            took, busy = time.perf_counter() - begun, time.process_time() - busy
            print(f"{what}: {count} models in {took:.2f} s, {busy:.2f} s of processor time")


def lora() -> dict[str, tuple[int, int]]:
    """The tensors of a LoRA of rank 8 over SD 1.5's attentions: 264 modules of three each."""
    sizes = (320, 640, 1280)
    shapes: dict[str, tuple[int, int]] = {}
    for module in range(264):
        name = f"lora_unet_down_blocks_{module}_attn2_to_k"
        shapes[f"{name}.lora_down.weight"] = 8, 768
        shapes[f"{name}.lora_up.weight"] = sizes[module % 3], 8
        shapes[f"{name}.alpha"] = 1, 1
    return shapes


def write(path: Path, shapes: dict[str, tuple[int, int]]) -> None:
    """A safetensors file of float16 whose numbers are a hole."""
    header, end = {}, 0
    for name, (rows, columns) in shapes.items():
        begin, end = end, end + 2 * rows * columns
        header[name] = {"dtype": "F16", "shape": [rows, columns], "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


if __name__ == "__main__":
    main()
