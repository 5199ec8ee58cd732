"""A Ray cluster joined or begun, and the replicas deployed on it."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from limner import machine
from limner.errors import LimnerError, SettingsError
from limner.replicas import deployment, ending, head, hearing, reaching
from limner.replicas.replica import Make
from limner.replicas.served import Served
from limner.settings import Settings

if TYPE_CHECKING:
    from limner.replicas.calls import Calls

log = logging.getLogger(__name__)

Say = Callable[[str], None]
OBJECTS_BYTES = 256 << 20  # pictures on their way between processes
LOOK_S = 0.2
START_S = 60.0
DAY_S = 86_400
STARTING = "starting the replicas"
NO_ROOM = (
    "starting the replicas, for which the cluster has no room yet: each needs a core, and its "
    "`gpus_per_replica`, that nobody else has"
)
MISSING = "engine is 'ray', which needs Ray: pip install 'limner[ray]'"


class Cluster:
    """The replicas of a server; ``make`` gives the engine of each, from settings, over there."""

    def __init__(self, settings: Settings, make: Callable[[Settings], Make]) -> None:
        check(settings)
        self._settings, self._make = settings, make
        self._head: head.Head | None = None
        self._agents: list[Any] = []

    def connect(self, say: Say) -> Calls:
        """Have the replicas there, and the way to them.

        Raises ``SettingsError`` for a cluster that cannot be joined or is too small, and for
        replicas that cannot begin.
        """
        settings = self._settings
        say("starting Ray" if settings.ray_address is None else "joining the Ray cluster")
        _authenticate(settings)
        if settings.ray_address is not None:
            reaching.expect_answer(settings.ray_address)
        with _told(settings):
            from ray import serve

            from limner.replicas.calls import Calls

            hearing.begin()
            _join(settings)
            serve.start(proxy_location="Disabled")
            if not _by_a_file():
                self._deploy(_gpus(settings))
            _expect_running(say)
            handle = serve.get_deployment_handle(deployment.DEPLOYMENT, deployment.APPLICATION)
            self._head, self._agents = head.joined(), ending.agents()
        say("ready")
        return Calls(handle)

    def _deploy(self, gpus: float) -> None:
        """Have Serve make them what they should be; what is so already stays."""
        from ray import serve

        name = deployment.APPLICATION
        serve._run(self.application(gpus), _blocking=False, name=name, route_prefix=None)

    def application(self, gpus: float) -> Any:
        """What is deployed, each replica with so many ``gpus``."""
        from ray import serve

        settings = self._settings
        built = serve.deployment(Served).options(
            **deployment.options(settings, gpus),
            version=deployment.version(settings),
            _internal=True,
        )
        return built.bind(self._make(deployment.for_replicas(settings)))

    def answers(self) -> bool:
        """Whether its head does; see ``Head.answers``."""
        return self._head is not None and self._head.answers()

    def disconnect(self, failed: bool) -> None:
        """Leave the cluster; one that was begun here ends at once, since nothing is drawn.

        Ray's own leaving would wait for a cluster that has ``failed``, or is killed here.
        """
        import ray
        from ray._private import worker

        if self._head is not None:
            self._head.close()
        if self._settings.ray_address is not None and not failed:
            ray.shutdown()
            return
        if self._settings.ray_address is None and worker._global_node is not None:
            ending.kill(worker._global_node, self._agents)
        atexit.register(_end, int(failed))


def _end(status: int) -> None:
    """End the process as it is ending."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def check(settings: Settings) -> None:
    """Raise what can be known before anything is started."""
    if find_spec("ray") is None:
        raise SettingsError(MISSING)
    if settings.ray_address not in (None, reaching.AUTO):
        reaching.parsed(settings.ray_address)
    if settings.min_replicas and settings.replicas:
        raise SettingsError("replicas and min_replicas are both set; one of them is enough.")
    if settings.max_replicas and settings.max_replicas < settings.replicas_least:
        raise SettingsError(
            f"max_replicas is {settings.max_replicas}; it must be at least "
            f"{settings.replicas_least}, the number that there are always."
        )


def _authenticate(settings: Settings) -> None:
    """Have Ray ask for a token, also of us; one of our own cluster is known to nobody else.

    Before Ray is imported: it looks at these variables then.
    """
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_DISABLE_FAILURE_SIGNAL_HANDLER"] = "1"  # it would tell of every SIGTERM
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # a call after the end would begin another cluster
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_SERVE_LOG_TO_STDERR", "0")
    if settings.ray_address is not None:
        # Ray would end a process whose head is away for a minute; here that is ours to judge.
        os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", str(DAY_S))
    else:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        os.environ.setdefault("RAY_worker_niceness", "0")  # else anything at all goes before them
    if _is_here(settings.ray_address):
        # Else Ray takes another address of this machine in place of the loopback address.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"


def _is_here(address: str | None) -> bool:
    return address is None or (address != reaching.AUTO and reaching.is_loopback(address))


def _join(settings: Settings) -> None:
    import ray

    own = settings.ray_address is None
    common: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if not own:
        ray.init(address=settings.ray_address, **common)
        return
    with _patient():
        ray.init(
            address="local",
            num_cpus=max(machine.cores(), settings.replicas_most),
            object_store_memory=OBJECTS_BYTES,
            include_dashboard=False,
            **common,
        )


@contextmanager
def _patient() -> Iterator[None]:
    """Ray gives its own processes half a minute to begin, which a busy machine may not have.

    It looks for its node again and again then; here each look takes as long as it has to.
    """
    from ray._private import services

    look = services.get_node

    def wait(*place: Any) -> Any:
        deadline = time.monotonic() + START_S
        while True:
            try:
                return look(*place)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(LOOK_S)

    services.get_node = wait
    try:
        yield
    finally:
        services.get_node = look


def _by_a_file() -> bool:
    """Whether replicas were deployed by a file, which is left to say what they are."""
    from ray.serve.context import _get_global_client

    found = _get_global_client().get_serve_details()["applications"].get(deployment.APPLICATION)
    return found is not None and found["source"] == "declarative"


def _gpus(settings: Settings) -> float:
    """GPUs that each replica takes. Raises ``SettingsError`` where there are too few in all."""
    import ray

    there = float(ray.cluster_resources().get("GPU", 0))
    wanted = settings.gpus_per_replica
    if wanted is None:
        wanted = 1.0 if there and settings.device != "cpu" else 0.0
    needed = wanted * settings.replicas_least
    if needed > there:
        raise SettingsError(
            f"{settings.replicas_least} replicas of {wanted:g} GPUs need {needed:g}; the cluster "
            f"has {there:g}. Fewer `replicas`, or a smaller `gpus_per_replica`, fit."
        )
    return wanted


def _expect_running(say: Say) -> None:
    """Wait until the replicas are there. Raises ``SettingsError`` when they never will be."""
    from ray import serve

    told = ""
    while True:
        found = serve.status().applications.get(deployment.APPLICATION)
        status = "NOT_STARTED" if found is None else found.status.value
        if status == "RUNNING":
            return
        if found is not None and status in ("DEPLOY_FAILED", "UNHEALTHY"):
            raise SettingsError(f"The replicas cannot begin: {_why(found)}")
        if (words := _state_of(found)) != told:
            say(words)
            log.info(words)
            told = words
        time.sleep(LOOK_S)


def _state_of(found: Any) -> str:
    """What those are waiting for that are not there yet."""
    messages = () if found is None else (each.message for each in found.deployments.values())
    return NO_ROOM if any("to be scheduled" in each for each in messages) else STARTING


def _why(found: Any) -> str:
    """The last line of what a replica died of."""
    messages = [each.message for each in found.deployments.values()] + [found.message]
    lines = [line.strip() for line in "\n".join(messages).splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith("limner.errors.")]
    return (ours or lines or ["Ray Serve does not say why."])[-1].partition("Error: ")[-1] or lines[
        -1
    ]


@contextmanager
def _told(settings: Settings) -> Iterator[None]:
    """What Ray raises, as a sentence that names the setting."""
    from ray.exceptions import AuthenticationError

    where = settings.ray_address or "this machine"
    try:
        yield
    except LimnerError:
        raise
    except AuthenticationError as error:
        raise SettingsError(reaching.TOKEN.format(where=where)) from error
    except Exception as error:  # Ray raises that itself where its processes are slow to begin
        first = str(error).strip().partition("\n")[0].rstrip(".")
        raise SettingsError(f"Ray at {where} cannot be used: {first}.") from error
