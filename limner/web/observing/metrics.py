"""``GET /metrics``: what Prometheus asks for. Figures of this process, and of its database.

With several processes on one database each tells the database's figures alike: take the maximum
over the processes for ``limner_queue_requests``, ``limner_pictures*`` and ``limner_credits*``,
and the sum for all others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response

from limner.domain.pricing import MICRO
from limner.engine.batching.client import EngineStatus
from limner.store.usage import Figures
from limner.web import openapi
from limner.web.application import Application
from limner.web.drawing import Api
from limner.web.observing.calls import Meters


def install(app: Application, api: Api, meters: Meters) -> None:
    """Add the route."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the lines

    async def show(_: Request) -> Response:
        now = CollectorRegistry()
        now.register(
            _Moment(api.services.engine.status(), await api.services.administration.figures())
        )
        text = generate_latest(meters.registry) + generate_latest(now)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    page = {"description": "Prometheus' text.", "content": {"text/plain": {"schema": {}}}}
    operation = openapi.operation(
        "metrics", "Figures for Prometheus.", page, errors=(401, 403, 500)
    )
    app.add_api_route("/metrics", show, methods=["GET"], **operation)


_COUNTED = {
    "steps": ("Steps of the model.", "steps"),
    "pictures": ("Pictures drawn with it.", "pictures"),
    "busy_seconds": ("Time spent in its steps.", "busy_s"),
    "loads": ("Loads beside the steps.", "loads"),
    "load_seconds": ("Time spent in these.", "load_s"),
    "failed_loads": ("Loads of which nothing came.", "failed_loads"),
    "evictions": ("How often it went for another.", "evictions"),
}
_MOMENTARY = {
    "bytes": ("What it takes in memory, or will when loaded.", "bytes"),
    "waiting": ("Images that wait for it, or for room.", "waiting"),
    "running": ("Images that it draws.", "running"),
}


class _Moment:
    """Collects from one snapshot."""

    def __init__(self, engine: EngineStatus, figures: Figures) -> None:
        self._engine, self._kept = engine, figures

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "limner_tasks", "Tasks on the event loop.", value=len(asyncio.all_tasks())
        )
        yield from self._engine_figures()
        yield from self._cache_figures()
        yield from self._model_figures()
        yield from self._database_figures()

    def _engine_figures(self) -> Iterator[Metric]:
        engine, stats = self._engine, self._engine.stats
        yield GaugeMetricFamily(
            "limner_engine_ready", "1 when the model is loaded.", value=engine.ready
        )
        images = GaugeMetricFamily(
            "limner_engine_images", "Images that the engine knows.", labels=("state",)
        )
        images.add_metric(["waiting"], engine.waiting)
        images.add_metric(["running"], engine.running)
        yield images
        for name, about, value in (
            ("steps", "Steps: one forward pass of the UNet each.", stats.steps),
            ("rows", "UNet rows; by steps, the rows of a step.", stats.rows),
            ("pictures", "Pictures drawn.", stats.images),
            ("busy_seconds", "Time spent in steps; by steps, a step's.", stats.busy_s),
            ("unet_seconds", "Time in the UNet; by busy_seconds, its share.", stats.unet_s),
            ("vae_seconds", "Time in the VAE.", stats.vae_s),
        ):
            yield CounterMetricFamily(f"limner_engine_{name}", about, value=value)

    def _cache_figures(self) -> Iterator[Metric]:
        labels = ("cache",)
        size = GaugeMetricFamily("limner_engine_cache_bytes", "What it holds.", labels=labels)
        hits = CounterMetricFamily("limner_engine_cache_hits", "It had it.", labels=labels)
        misses = CounterMetricFamily("limner_engine_cache_misses", "It had not.", labels=labels)
        for name, cache in self._engine.stats.caches.items():
            size.add_metric([name], cache.bytes)
            hits.add_metric([name], cache.hits)
            misses.add_metric([name], cache.misses)
        yield from (size, hits, misses)

    def _model_figures(self) -> Iterator[Metric]:
        stats = self._engine.stats
        yield GaugeMetricFamily(
            "limner_models_budget_bytes", "What models may take.", value=stats.models_budget
        )
        names = GaugeMetricFamily("limner_model_info", "Its name.", labels=("model", "name"))
        for model, own in stats.models.items():
            names.add_metric([model, own.name], 1)
        yield names
        for kind, figures in ((CounterMetricFamily, _COUNTED), (GaugeMetricFamily, _MOMENTARY)):
            for name, (about, field) in figures.items():
                family = kind(f"limner_model_{name}", about, labels=("model",))
                for model, own in stats.models.items():
                    family.add_metric([model], getattr(own, field))
                yield family

    def _database_figures(self) -> Iterator[Metric]:
        kept = self._kept
        waiting = GaugeMetricFamily(
            "limner_queue_requests", "Stored requests that are not finished.", labels=("status",)
        )
        waiting.add_metric(["queued"], kept.queued)
        waiting.add_metric(["processing"], kept.processing)
        yield waiting
        yield GaugeMetricFamily("limner_pictures", "Pictures kept.", value=kept.pictures)
        yield GaugeMetricFamily(
            "limner_pictures_bytes", "Room that they take.", value=kept.picture_bytes
        )
        credits = GaugeMetricFamily(
            "limner_credits", "Credits of all customers.", labels=("pocket",)
        )
        credits.add_metric(["available"], kept.available_micro / MICRO)
        credits.add_metric(["held"], kept.held_micro / MICRO)
        yield credits
        yield CounterMetricFamily(
            "limner_credits_captured",
            "Credits captured since the first day.",
            value=kept.captured_micro / MICRO,
        )
