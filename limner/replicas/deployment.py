"""What Ray Serve is told of the replicas, as its options and its files name it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from limner.settings import Settings

APPLICATION = "limner"
DEPLOYMENT = "engine"
ROUTER = "limner.replicas.routing.AffineRouter"
TARGET = 8.0  # requests in a replica, drawn or waiting, above which another is started
UP_S, DOWN_S = 15.0, 300.0


def options(settings: Settings, gpus: float) -> dict[str, Any]:
    """Of a deployment whose replicas take ``gpus`` each.

    Serve's own queue is not used: whatever is submitted goes to a replica at once, whose scheduler
    shares it fairly between keys. A replica that has to go finishes what it has within ``drain_s``;
    what is left is drawn by another.
    """
    return {
        "name": DEPLOYMENT,
        **_number(settings),
        "ray_actor_options": {"num_cpus": 1, "num_gpus": gpus},
        "max_ongoing_requests": settings.queue_max_requests,
        "max_queued_requests": -1,
        "health_check_period_s": 5.0,
        "health_check_timeout_s": 30.0,
        "graceful_shutdown_wait_loop_s": 0.5,
        "graceful_shutdown_timeout_s": settings.drain_s,
        "request_router_config": {
            "request_router_class": ROUTER,
            "request_routing_stats_period_s": 1.0,
        },
        "max_constructor_retry_count": 3,
    }


def _number(settings: Settings) -> dict[str, Any]:
    if settings.replicas_least == settings.replicas_most:
        return {"num_replicas": settings.replicas_least}
    scaling = {
        "min_replicas": settings.replicas_least,
        "max_replicas": settings.replicas_most,
        "target_ongoing_requests": TARGET,
        "upscale_delay_s": UP_S,
        "downscale_delay_s": DOWN_S,
        "metrics_interval_s": 2.0,
    }
    return {"num_replicas": "auto", "autoscaling_config": scaling}


SERVERS_OWN = frozenset({
    "database_url", "database_pool_size", "host", "port", "public_url", "proxies", "pictures",
    "ray_address",
})  # fmt: skip


def for_replicas(settings: Settings) -> Settings:
    """The settings that a replica needs; no secret is among them, nor what servers differ in."""
    names = settings.model_fields_set - SERVERS_OWN
    given = {name: getattr(settings, name) for name in names}
    return Settings.model_validate({**given, "database_url": "sqlite:///none"})


def version(settings: Settings) -> str:
    """Replicas of the same version are kept when a server starts; others are replaced."""
    from limner import __version__

    told = json.dumps([__version__, for_replicas(settings).shown()], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]
