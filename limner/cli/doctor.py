"""``limner doctor``: is everything here that drawing needs, and how fast is it?"""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer

from limner import machine
from limner.cli import checks, options, terminal
from limner.cli.configured import MODEL, PLACE, configured
from limner.errors import LimnerError
from limner.settings import Settings, without_password

PACKAGES = ("limner", "torch", "diffusers", "transformers", "safetensors", "sqlalchemy", "fastapi")
TOLD = 10  # models that cannot be used, in the line of the library
LOW_DISK = 2 * 2**30  # bytes; a full-size checkpoint and a day of pictures


@dataclass(frozen=True)
class Finding:
    """One check: ``state`` is ``ok``, ``warning`` or ``failed``; ``facts`` are for scripts."""

    check: str
    state: str
    detail: str
    facts: dict[str, Any]


@configured(*MODEL, "models_dirs", *PLACE)
def doctor(as_json: options.Json = False, *, settings: Settings) -> None:
    """Check versions, device, number types, data folder, disk, database, model and library.

    Leaves with status 1 when something failed. Changes nothing.
    """
    findings = []
    for finding in examine(settings):
        findings.append(finding)
        if not as_json:
            terminal.say(f"{finding.state:<8} {finding.check:<12} {finding.detail}")
    if as_json:
        terminal.data([asdict(finding) for finding in findings], indent=2)
    if any(finding.state == "failed" for finding in findings):
        raise typer.Exit(1)


def examine(chosen: Settings) -> Iterator[Finding]:
    """Every check in turn; a check that raises has failed and does not stop the others."""
    examined: dict[str, Callable[[Settings], Finding]] = {
        "versions": _versions,
        "device": _device,
        "number type": _number_type,
        "data folder": _data_folder,
        "disk": _disk,
        "database": _database,
        "model": _model,
        "library": _library,
    }
    for name, check in examined.items():
        try:
            yield check(chosen)
        except (LimnerError, OSError, ImportError, RuntimeError) as error:
            yield Finding(name, "failed", " ".join(str(error).split()), {})


def _versions(_: Settings) -> Finding:
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    found["python"] = platform.python_version()
    return Finding("versions", "ok", ", ".join(f"{k} {v}" for k, v in found.items()), found)


def _device(chosen: Settings) -> Finding:
    import torch

    from limner.engine.checkpoints.probe import choose_device

    device = choose_device(chosen.device)
    threads = torch.get_num_threads()
    facts: dict[str, Any] = {"device": device, "threads": threads, "cores": machine.cores()}
    if device == "cpu":
        return Finding("device", "ok", f"cpu, {threads} threads of {machine.cores()} cores", facts)
    card = torch.cuda.get_device_properties(0)
    facts |= {"card": card.name, "memory_bytes": card.total_memory}
    return Finding("device", "ok", f"{card.name}, {card.total_memory / 2**30:.0f} GiB", facts)


def _number_type(chosen: Settings) -> Finding:
    from limner.engine.checkpoints.probe import choose_device, choose_dtype, probe

    if choose_device(chosen.device) == "cuda":
        picked = choose_dtype(chosen.dtype, "cuda")
        return Finding("number type", "ok", f"{picked} (a GPU's is not probed)", {"dtype": picked})
    found = probe()
    times = ", ".join(f"{name} {1000 * s:.3g} ms" for name, s in found.seconds.items())
    picked = found.dtype if chosen.dtype == "auto" else chosen.dtype
    facts = {"dtype": picked, "probed": found.dtype, "seconds": dict(found.seconds)}
    return Finding("number type", "ok", f"{picked} ({times} for the same work)", facts)


def _data_folder(chosen: Settings) -> Finding:
    place = checks.folders_to_be(chosen)
    detail = str(chosen.data_dir)
    if place != chosen.data_dir:
        detail += " (will be made by the first start)"
    return Finding("data folder", "ok", detail, {"path": str(chosen.data_dir)})


def _disk(chosen: Settings) -> Finding:
    free = shutil.disk_usage(checks.nearest(chosen.data_dir)).free
    state = "ok" if free >= LOW_DISK else "warning"
    facts = {"free_bytes": free, "keep_max_bytes": chosen.keep_max_mib * 2**20}
    return Finding("disk", state, f"{free / 2**30:.1f} GiB free for pictures", facts)


def _database(chosen: Settings) -> Finding:
    from sqlalchemy import make_url

    from limner.store.db import Database

    shown = without_password(chosen.database_url)
    url = make_url(chosen.database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        return Finding("database", "ok", f"{shown} (will be made by the first start)", {})
    start = time.perf_counter()
    Database.check(chosen.database_url)
    seconds = time.perf_counter() - start
    return Finding("database", "ok", f"{shown}, {1000 * seconds:.0f} ms", {"seconds": seconds})


def _model(chosen: Settings) -> Finding:
    from limner.engine.checkpoints import weights

    start = time.perf_counter()
    checkpoint = weights.load(
        chosen.model,
        vae=chosen.vae,
        wish=checks.wish(chosen),
        device=chosen.device,
        dtype=chosen.dtype,
    )
    seconds = time.perf_counter() - start
    info = checkpoint.info
    millions = sum(info.parameters.values()) / 1e6
    detail = (
        f"{info.name}, {millions:,.1f} M parameters as {info.dtype} on {info.device}, "
        f"{info.prediction}{', zero terminal SNR' if info.zero_snr else ''}, "
        f"loaded in {seconds:.1f} s, licence {info.licence}"
    )
    return Finding("model", "ok", detail, info.as_dict() | {"seconds": seconds})


def _library(chosen: Settings) -> Finding:
    """A warning names what cannot be used; it harms nobody who does not name it."""
    from limner.models.listing import Library

    imported = chosen.data_dir / "models"
    folders = (*chosen.models_dirs, *([imported] if imported.is_dir() else []))
    # Without a data folder there is no index, which would be written.
    entries = Library(None, folders, vae=chosen.vae).entries()
    unusable = {entry.name: entry.facts.reason for entry in entries if entry.facts.reason}
    detail = f"{len(entries)} models"
    if unusable:
        told = [f"{name}: {reason}" for name, reason in unusable.items()]
        more = f" {len(told) - TOLD} more: limner models list" if len(told) > TOLD else ""
        detail += f", of which {len(told)} cannot be used; {' '.join(told[:TOLD])}{more}"
    facts = {"models": len(entries), "unusable": unusable}
    return Finding("library", "warning" if unusable else "ok", detail, facts)
