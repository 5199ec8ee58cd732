"""What AUTOMATIC1111's clients list before they draw: models, styles, and what is not here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from limner.domain.model import ModelInfo
from limner.domain.styles import Catalogue


def title(model: ModelInfo) -> str:
    """The name under which its clients choose a model."""
    return f"{model.name} [{model.short_hash}]"


def models(model: ModelInfo) -> list[dict[str, Any]]:
    """``GET /sd-models``: the loaded one. Where its file lies is not told."""
    return [
        {
            "title": title(model),
            "model_name": model.name,
            "hash": model.short_hash,
            "sha256": model.source_sha256 or model.sha256,
            "filename": f"{model.name}.safetensors",
            "config": None,
        }
    ]


def styles(catalogue: Catalogue) -> list[dict[str, str]]:
    """``GET /prompt-styles``: every entry of the style catalogue."""
    return [
        {
            "name": style.name,
            "prompt": ", ".join(filter(None, (style.text, style.suffix))),
            "negative_prompt": style.negative,
        }
        for kind in catalogue.values()
        for style in kind.values()
    ]


# Lists of what is not here: clients want them all the same.
EMPTY: Mapping[str, Callable[[], Any]] = {
    "upscalers": lambda: [
        {"name": "None", "model_name": None, "model_path": None, "model_url": None, "scale": 1}
    ],
    "latent-upscale-modes": lambda: [{"name": "None"}],
    "sd-vae": list,
    "sd-modules": list,
    "loras": list,
    "hypernetworks": list,
    "face-restorers": list,
    "realesrgan-models": list,
    "extensions": list,
    "embeddings": lambda: {"loaded": {}, "skipped": {}},
    "scripts": lambda: {"txt2img": [], "img2img": []},
}
