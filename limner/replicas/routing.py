"""Ray Serve's choice of a replica, by ``affinity``."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica

from limner.replicas.affinity import ranked

log = logging.getLogger(__name__)


class AffineRouter(RequestRouter):  # type: ignore[misc]
    """Ray Serve's router in the server's process; a fault of ours falls back to any replica."""

    def initialize_state(self, **_: Any) -> None:
        """What this server has sent where, and was not told the end of."""
        self._sent: dict[str, ReplicaID] = {}

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """One replica in each rank."""
        if not candidate_replicas or pending_request is None or not pending_request.args:
            return [candidate_replicas]
        try:
            return self._chosen(candidate_replicas, str(pending_request.args[0]))
        except Exception:
            log.exception("no replica could be preferred")
            return [candidate_replicas]

    def on_request_routed(
        self, pending_request: PendingRequest, replica_id: ReplicaID, _result: Any
    ) -> None:
        """Count it."""
        self._sent[pending_request.metadata.internal_request_id] = replica_id

    def on_request_completed(self, _replica_id: ReplicaID, internal_request_id: str) -> None:
        """It is over."""
        self._sent.pop(internal_request_id, None)

    def _chosen(
        self, candidates: Sequence[RunningReplica], route: str
    ) -> list[list[RunningReplica]]:
        by_name = {each.replica_id.unique_id: each for each in candidates}
        counts = Counter(each.unique_id for each in self._sent.values())
        loads = {name: counts[name] for name in by_name}
        return [[by_name[name]] for name in ranked(route, loads)]
