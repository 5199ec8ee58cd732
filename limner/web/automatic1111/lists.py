"""What AUTOMATIC1111's clients list before they draw: models, styles, and what is not here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from limner.domain.hires import LATENT_MODES
from limner.domain.styles import Catalogue
from limner.web.automatic1111 import sd_upscale


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


def latent_modes() -> list[dict[str, str]]:
    """``GET /latent-upscale-modes``: those of a second pass."""
    return [{"name": name} for name in LATENT_MODES]


# Lists of what is not here: clients want them all the same.
EMPTY: Mapping[str, Callable[[], Any]] = {
    "sd-modules": list,
    "hypernetworks": list,
    "face-restorers": list,
    "realesrgan-models": list,
    "extensions": list,
    "scripts": lambda: {"txt2img": [], "img2img": [sd_upscale.TITLE]},
}
