"""`python -m training.export`: write a checkpoint's averaged model as a folder that Limner loads.

diffusers' layout, float16 safetensors; the tokenizer is CLIP's, which Limner ships once for all.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from diffusers import DDIMScheduler

from training.autoencoder import build_autoencoder
from training.model import SCHEDULER
from training.paths import work_dir
from training.sheet import load_average
from training.text import load_tokenizer

INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def export(checkpoint: Path, folder: Path) -> int:
    """Write the model of a checkpoint into a folder; the samples that it was trained on."""
    unet, encoder, samples = load_average(checkpoint, load_tokenizer())
    unet.half().save_pretrained(folder / "unet")
    encoder.full().half().save_pretrained(folder / "text_encoder")
    build_autoencoder().half().save_pretrained(folder / "vae")
    DDIMScheduler(**SCHEDULER).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)
    return samples


def main() -> None:
    """Export the cooled checkpoint, or another one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkpoint", type=Path, default=work_dir() / "cooled.pt")
    options = parser.parse_args()
    samples = export(options.checkpoint, options.folder)
    total = sum(path.stat().st_size for path in options.folder.rglob("*.safetensors"))
    print(f"{options.folder}: {samples} samples, {total / 1e6:.1f} MB of weights")


if __name__ == "__main__":
    main()
