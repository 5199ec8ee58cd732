"""What an engine of this process loads, by the settings; the same for a server and a command."""

from __future__ import annotations

from limner.cli import checks
from limner.engine.starting import Find, Loader
from limner.settings import Settings


def loader(settings: Settings, find: Find, max_rows: int | None = None) -> Loader:
    """``find`` knows files of models by their SHA-256s; ``max_rows`` None: it is measured."""
    return Loader(
        settings.model,
        vae=settings.vae,
        wish=checks.wish(settings),
        device=settings.device,
        dtype=settings.dtype,
        knee_file=settings.data_dir / "throughput.json",
        max_rows=max_rows,
        prompt_cache_bytes=settings.prompt_cache_max_mib << 20,
        find=find,
    )
