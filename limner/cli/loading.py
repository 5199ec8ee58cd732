"""What an engine of this process loads, by the settings; the same for a server and a command."""

from __future__ import annotations

from limner.cli import checks
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.models import only_one
from limner.engine.batching.ticket import Reader, read_nothing
from limner.engine.starting import Find, Loader, find_nothing
from limner.models.listing import Library
from limner.settings import Settings
from limner.usecases.drawing.adapters import AdapterFiles
from limner.usecases.upscaling import Engine, Upscaling

LIST_KEPT_S = 2.0  # how old a list of models may be


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
        host_bytes=_bytes(settings.models_ram_max_mib),
        loras_bytes=settings.loras_memory_max_mib << 20,
        find=find,
    )


def make_engine(
    settings: Settings, read: Reader = read_nothing, find: Find = find_nothing
) -> ThreadEngine:
    """The engine of this process; it loads on its own thread.

    ``read`` finds source pictures, ``find`` the files of models by their SHA-256s.
    """
    loads = loader(settings, find)
    return ThreadEngine(
        loads.load,
        size=only_one if find is find_nothing else loads.size,
        stamp=loads.stamp,
        read=read,
        max_queue=settings.queue_max_requests,
        max_bytes=_bytes(settings.memory_max_mib),
        models_bytes=_bytes(settings.models_memory_max_mib),
        prove=True,
    )


def _bytes(mib: int | None) -> int | None:
    return None if mib is None else mib << 20


def open_library(settings: Settings) -> Library:
    """The models that the settings name."""
    return Library(settings.data_dir, settings.models_dirs, vae=settings.vae, fresh_s=LIST_KEPT_S)


def upscaling(settings: Settings, files: AdapterFiles) -> Upscaling:
    """What makes pictures larger by themselves; PyTorch is imported with the first."""

    def make() -> Engine:
        import torch

        from limner.engine.adapters.resident import find_nothing as nothing
        from limner.engine.checkpoints.probe import choose_device
        from limner.engine.upscaling.resident import Upscalers

        device = torch.device(choose_device(settings.device))
        return Upscalers(lambda sha256: files.find(sha256) or nothing(sha256), device)

    return Upscaling(files, make)
