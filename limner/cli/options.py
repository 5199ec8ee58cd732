"""Options that several commands share, and how they become settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

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
