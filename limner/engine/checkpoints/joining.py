"""Parts of other files that go into an imported checkpoint: which, and whether they stay the same.

A single file has no configs: what a part's own folder says of it must be what would be read from
the tensors alone, or the import would draw other pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from limner.engine.checkpoints import weights
from limner.engine.checkpoints.headers import TensorInfo
from limner.engine.checkpoints.layouts import (
    gathered,
    read_layout,
    read_vae,
    require,
    text_encoder_sha256,
    vae_sha256,
)
from limner.engine.checkpoints.parts import PREFIXES, Layout, Part
from limner.engine.checkpoints.prediction import Wish
from limner.errors import CheckpointError

_WORDS = {"vae": "VAE", "text_encoder": "text encoder"}
_MATTERS: Mapping[str, tuple[str, ...]] = {
    "vae": ("scaling_factor", "shift_factor", "norm_num_groups"),
    "text_encoder": ("num_attention_heads", "hidden_act", "layer_norm_eps"),
}


def others(
    source: Path, kind: str, vae: Path | None, wish: Wish
) -> tuple[dict[str, Part], list[str]]:
    """The parts that come from other files, and that in words.

    Raises CheckpointError where the whole cannot be drawn with; a VAE may lack.
    """
    if kind == "lora":
        return {}, []
    if kind == "vae":
        weights.verify_part("vae", read_vae(source))
        return {}, []
    layout = read_layout(source)
    layout = replace(layout, scheduler=wish.over(layout.scheduler))
    parts = gathered(layout, vae, wish)
    require(layout, parts, ("text_encoder",))
    weights.verify(layout, parts)
    paths = _sources(layout, vae, wish)
    sums = {"vae": vae_sha256, "text_encoder": text_encoder_sha256}
    told = _told({name: (path, str(sums[name](path))) for name, path in paths.items()})
    return {name: parts[name] for name in paths}, list(told)


def joined(kept: Mapping[str, TensorInfo], others: Mapping[str, Part]) -> dict[str, TensorInfo]:
    """With the parts of other files in place of its own."""
    replaced = tuple(PREFIXES[name] for name in others)
    own = {name: info for name, info in kept.items() if not name.startswith(replaced)}
    return own | _tensors(others)


def _sources(layout: Layout, vae: Path | None, wish: Wish) -> dict[str, Path]:
    """Where the parts come from that are not the checkpoint's own: named, or beside it."""
    found = {"vae": vae or layout.vae_beside, "text_encoder": wish.text_encoder}
    return {name: path for name, path in found.items() if path}


def _tensors(others: Mapping[str, Part]) -> dict[str, TensorInfo]:
    """Of all the parts, under latent diffusion's prefixes."""
    return {
        PREFIXES[name] + key: info
        for name, part in others.items()
        for key, info in part.tensors(name).items()
    }


def _told(sums: Mapping[str, tuple[Path, str]]) -> Iterator[str]:
    """In words, of each part its file and its SHA-256."""
    for name, (path, sha256) in sums.items():
        yield f"{_WORDS[name]} taken from {path.name} (sha256 {sha256})"


def require_same(file: Path, others: Mapping[str, Part], made: Mapping[str, Part]) -> None:
    """Raise CheckpointError where ``made``, read from one file, is configured otherwise."""
    for name, part in others.items():
        for key in _MATTERS[name]:
            now = made[name].config.get(key)
            was = part.config.get(key, now)
            if was != now:
                raise CheckpointError(
                    f"{part.files[0].parent} says {key} {was}, and a single file is read with "
                    f"{now}; draw with {file.name} and name the folder after "
                    f"--{name.replace('_', '-')} instead."
                )
