"""Stored requests and pictures as JSON, with absolute URLs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from limner import imaging
from limner.domain.pricing import as_credits
from limner.settings import Settings
from limner.usecases.drawing.choosing import Models
from limner.usecases.queueing.queue import Status

SUFFIXES: Mapping[imaging.Format, str] = {"png": "png", "jpeg": "jpg", "webp": "webp"}


class Picture(Protocol):
    """What is shown of a stored picture."""

    @property
    def id(self) -> str: ...
    @property
    def index(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


def picture_url(settings: Settings, picture_id: str, suffix: str) -> str:
    """Where a picture's file is fetched, with the key."""
    return f"{settings.public_url}/api/pictures/{picture_id}.{suffix}"


def picture_json(
    settings: Settings, picture: Picture, samples: int | None = None
) -> dict[str, Any]:
    """One stored picture; of a request of so many ``samples``, a first pass says of which."""
    first = samples is not None and picture.index >= samples
    return {
        "id": picture.id,
        "index": picture.index,
        "seed": picture.seed,
        "width": picture.width,
        "height": picture.height,
        "urls": {
            format: picture_url(settings, picture.id, suffix) for format, suffix in SUFFIXES.items()
        },
        **({"first_pass_of": picture.index - (samples or 0)} if first else {}),
    }


def request_json(settings: Settings, status: Status, models: Models) -> dict[str, Any]:
    """One stored request; ``generation``, the first of its ``lines``, is null once it expired.

    Of ``models`` it names the file, where a request is bound to what was said over it as well.
    """
    job = status.job
    return {
        "request_id": job.id,
        "status": job.status,
        "slug": job.slug,
        "surface": job.surface,
        "model": job.model,
        "model_sha256": models.file_sha256(job.model_sha256),
        "vae_sha256": job.vae_sha256 or None,
        "created_at": as_time(job.created_at),
        "started_at": as_time(job.started_at),
        "finished_at": as_time(job.finished_at),
        "generation": job.generation,
        "lines": [line.generation for line in job.lines],
        "price": as_credits(job.price_micro),
        "cost": as_credits(job.cost_micro),
        "adjustments": list(job.adjustments),
        "position": status.position,
        "estimate_s": seconds(status.estimate_s),
        "infer_time": seconds(job.infer_seconds),
        "error": job.error,
        "pictures": [picture_json(settings, picture, job.samples) for picture in status.pictures],
    }


def metrics_json(status: Status) -> dict[str, Any]:
    """What a finished request took and cost, under the vendor's names."""
    return {
        "inference_time": seconds(status.job.infer_seconds),
        "queue_time": seconds(status.queue_s),
        "total_time": seconds(status.total_s),
        "retry_count": max(0, status.job.tries - 1),
        "cost": as_credits(status.job.cost_micro),
        "remaining_credits": as_credits(status.remaining_micro),
    }


def as_time(moment: float | None) -> str | None:
    """ISO 8601 in UTC of seconds since the epoch."""
    if moment is None:
        return None
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def seconds(value: float | None) -> float | None:
    """To the millisecond."""
    return None if value is None else round(value, 3)
