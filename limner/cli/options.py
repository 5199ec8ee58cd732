"""Options that several commands share, and how they become settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from limner.domain.styles import Kind
from limner.errors import InvalidInput
from limner.settings import Settings, load

Model = Annotated[
    Path | None,
    typer.Option(help="Checkpoint: a .safetensors file or a diffusers folder. Default: embedded."),
]
Vae = Annotated[Path | None, typer.Option(help="VAE to use in place of the checkpoint's own.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda.")]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the database and the pictures.")]
DatabaseUrl = Annotated[
    str | None, typer.Option(help="SQLAlchemy URL of the database. Default: SQLite in data-dir.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def settings(**flags: Any) -> Settings:
    """Settings from the flags that were given, the environment and the settings file."""
    return load({name: value for name, value in flags.items() if value is not None})


def style_mix(picks: Sequence[str]) -> dict[str, Any] | None:
    """``mood=candlelit`` or ``artists=Rembrandt:1.1`` words as a style mix; None for none.

    Raises ``InvalidInput`` for a word without a kind.
    """
    mix: dict[str, Any] = {}
    for word in picks:
        kind, equals, named = word.partition("=")
        if not equals or kind not in get_args(Kind):
            raise InvalidInput(
                "style",
                f"--style is {word!r}; it must be KIND=NAME, KIND being one of "
                f"{', '.join(get_args(Kind))}",
            )
        name, colon, weight = named.rpartition(":")
        pick: Any = {"name": name, "weight": weight} if colon else named
        if kind in ("artists", "movements"):
            mix.setdefault(kind, []).append(pick)
        else:
            mix[kind] = pick
    return mix or None
