"""A replica as Ray Serve starts it: it listens on no more addresses than it has to."""

from __future__ import annotations

import logging
from typing import Any

from limner.replicas.replica import Make, Replica

log = logging.getLogger(__name__)


class Served(Replica):
    """``Replica`` whose process keeps to its machine's address within the cluster."""

    def __init__(self, make: Make) -> None:
        keep_to_own_address()
        super().__init__(make)


def keep_to_own_address() -> None:
    """Serve opens a port of each replica, once that has begun, on every address of its machine.

    In Ray 2.60 nothing can be set for it, so the function that binds it is given another address.
    A Ray that has no such function is told in the log and goes on.
    """
    import ray
    from ray.serve._private import replica

    bind = getattr(replica, "add_port_to_grpc_server", None)
    if bind is None:
        log.warning("Ray Serve may listen on all addresses of this machine: it binds in a new way")
        return
    own = ray.util.get_node_ip_address()
    host = f"[{own}]" if ":" in own else own

    def bind_there(server: Any, address: str) -> Any:
        return bind(server, f"{host}:{address.rpartition(':')[2]}")

    replica.add_port_to_grpc_server = bind_there
