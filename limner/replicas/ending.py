"""The end of a Ray that this process began."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any


def agents() -> list[Any]:
    """Processes that the raylet of this process's own Ray has begun; none in another's cluster.

    To be asked for while it lives: it ends with the thread that began it.
    """
    import psutil  # it comes with Ray
    from ray._private import worker
    from ray._private.ray_constants import PROCESS_TYPE_RAYLET

    own = worker._global_node.all_processes.get(PROCESS_TYPE_RAYLET, ())
    raylets = {each.process.pid for each in own}
    return [each for each in psutil.process_iter(["ppid"]) if each.info["ppid"] in raylets]


def kill(node: Any, begun: Iterable[Any]) -> None:
    """Kill all processes of the node, and ``agents``, which would look for it for a minute."""
    import psutil

    node.kill_all_processes(check_alive=False, allow_graceful=False)
    for process in begun:
        with suppress(psutil.NoSuchProcess):
            process.kill()
