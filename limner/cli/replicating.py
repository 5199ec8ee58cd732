"""Replicas in place of the engine of a server's process, and what each makes of the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from limner import logs
from limner.cli import loading
from limner.engine.batching.client import LastingClient
from limner.engine.batching.ticket import Reader
from limner.replicas.cluster import Cluster
from limner.replicas.engine import RemoteEngine
from limner.settings import Settings, load
from limner.usecases.drawing.adapters import AdapterFiles


def start(settings: Settings, read: Reader) -> RemoteEngine:
    """Those of the settings; they come up while the server answers already.

    Raises ``SettingsError`` for what can be known before.
    """
    if logs.is_json(settings.log_format):  # Ray's core writes to standard error by itself
        os.environ.setdefault("RAY_BACKEND_LOG_JSON", "1")
    cluster = Cluster(settings, make=lambda own: partial(engine_of, own))
    own = settings.queue_max_requests
    return RemoteEngine(
        cluster.connect,
        read,
        max_queue=own,
        alive=cluster.answers,
        disconnect=cluster.disconnect,
    )


def engine_of(settings: Settings, read: Reader) -> LastingClient:
    """The engine of a replica: files of models are found where it runs."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    adapters = AdapterFiles(loading.open_library(settings))
    return loading.make_engine(settings, read, adapters.find_any)


def application(args: Mapping[str, Any]) -> Any:
    """What ``serve deploy`` makes of a file of ``limner cluster manifest``."""
    own = load(args["settings"], environ={})
    return Cluster(own, make=lambda settings: partial(engine_of, settings)).application(0.0)
