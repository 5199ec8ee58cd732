"""The head of the cluster that was joined or begun: whether it is there, and whether it is ours."""

from __future__ import annotations

from collections.abc import Sequence
from subprocess import Popen
from typing import Any

from limner.errors import EngineBroken
from limner.replicas import reaching

ENDED = "The head of this server's own Ray has ended."
STRANGER = (
    "Ray at {where} knows the node that this server joined no more: it was begun anew, or the "
    "node's raylet has ended."
)


class Head:
    """Asked again and again. ``processes`` are its own where this process began it."""

    def __init__(self, where: str, node_id: str, processes: Sequence[Popen[Any]] = ()) -> None:
        from ray._private.grpc_utils import init_grpc_channel

        self._where, self._node_id = where, bytes.fromhex(node_id)
        self._processes = processes
        self._channel = init_grpc_channel(where)

    def answers(self) -> bool:
        """Whether it does, in some seconds. Raises ``EngineBroken`` where it never will again.

        It does not know our node where it was begun anew, and has given it up where its raylet
        ended: either way nothing of this process can be reached again.
        """
        import grpc
        from ray.exceptions import AuthenticationError

        if any(each.poll() is not None for each in self._processes):
            raise EngineBroken(ENDED)
        try:
            [known] = reaching.check(self._channel, self._node_id).raylet_alive
        except (grpc.RpcError, AuthenticationError, ValueError):  # the last of a closed channel
            return False
        if not known:
            raise EngineBroken(STRANGER.format(where=self._where))
        return True

    def close(self) -> None:
        """Ask no more."""
        self._channel.close()


def joined() -> Head:
    """That of the cluster which this process is in."""
    import ray
    from ray._private import worker
    from ray._private.ray_constants import PROCESS_TYPE_GCS_SERVER

    context, node = ray.get_runtime_context(), worker._global_node
    own = node.all_processes.get(PROCESS_TYPE_GCS_SERVER, [])
    return Head(context.gcs_address, context.get_node_id(), [each.process for each in own])
