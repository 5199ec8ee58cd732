"""The card of a checkpoint: who made it, under what terms, and what it can draw, by its headers.

A loaded model tells the same and more (``weights``); prices, licences and refusals need no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from limner.domain import licences
from limner.domain.model import Card, sendable
from limner.engine.checkpoints import prediction
from limner.engine.checkpoints.layouts import EMBEDDED, chosen, text_encoder_sha256, vae_sha256
from limner.engine.checkpoints.parts import Layout, Part, told
from limner.engine.checkpoints.prediction import AS_TOLD, Wish
from limner.errors import CheckpointError


def read(model: Path | None, vae: Path | None, wish: Wish = AS_TOLD) -> Card:
    """Of the model at a path (the embedded one without) with a VAE in place of its own, if named.

    Weights are read for sums alone. Raises ``CheckpointError`` as ``layouts.chosen`` does, and
    for a VAE that the UNet does not fit.
    """
    layout, parts = chosen(model, vae, wish)
    _check_fit(layout, parts)
    return of(layout, parts, vae, wish)


def of(layout: Layout, parts: Mapping[str, Part], vae: Path | None, wish: Wish = AS_TOLD) -> Card:
    """The same of what ``layouts.chosen`` returned for a VAE's path and a wish."""
    embedded = layout.path.resolve() == EMBEDDED
    licence = licences.find(layout.licence)
    name, attribution, source = licences.origin(layout.path, licence, embedded=embedded)
    used, schedule = vae or layout.vae_beside, layout.schedule()
    text_sha256 = text_encoder_sha256(wish.text_encoder)
    positions = "counted" if parts["text_encoder"].positions is None else "stored"
    return Card(
        name=sendable(name),
        kind=_kind(parts["unet"]),
        path=str(layout.path),
        sha256=layout.sha256,
        source_sha256=layout.source_sha256,
        vae=sendable(used.name) if used else "built in",
        vae_sha256=vae_sha256(used),
        licence=licence.id,
        licence_needs_acceptance=licence.needs_acceptance,
        attribution=attribution,
        source=sendable(source),
        conversions=tuple(map(sendable, told(layout, parts))),
        sprite_pixels=_vae_scale(parts["vae"]) if embedded else None,
        prediction=prediction.predicts(schedule),
        zero_snr=prediction.has_zero_snr(schedule),
        text_encoder_sha256=text_sha256,
        clip_positions=positions,
        said=_said(layout, text_sha256, positions),
    )


def _said(layout: Layout, text_sha256: str | None, positions: str) -> str:
    text = [f"text_encoder={text_sha256}"] if text_sha256 else []
    stored = ["clip_positions=stored"] if positions == "stored" else []
    return " ".join((*layout.said, *text, *stored))


def _kind(unet: Part) -> str:
    """An inpainting UNet reads more than the latent that it draws: 9 channels where it writes 4."""
    read, written = (unet.config.get(f"{way}_channels", 4) for way in ("in", "out"))
    return "sd1-inpainting" if read > written else "sd1"


def _vae_scale(vae: Part) -> int:
    """Picture pixels spanned by one latent pixel."""
    return int(2 ** (len(vae.config["block_out_channels"]) - 1))


def _check_fit(layout: Layout, parts: Mapping[str, Part]) -> None:
    latent = parts["vae"].config.get("latent_channels", 4)
    drawn = parts["unet"].config.get("out_channels", 4)
    if latent != drawn:
        raise CheckpointError(
            f"{layout.path.name}: the VAE has {latent} latent channels, the UNet draws {drawn}."
        )
