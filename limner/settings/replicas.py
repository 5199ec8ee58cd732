"""What an operator chooses of engines in processes of their own."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class ReplicaSettings(BaseModel):
    """Part of ``Settings``."""

    engine: Literal["thread", "ray"] = Field(
        "thread",
        description="Where pictures are drawn: in the server's process, or by replicas on `ray`; "
        "needs the extra `ray`.",
    )
    ray_address: str | None = Field(
        None,
        min_length=1,
        description="Ray cluster to draw on, `HOST:PORT`, or `auto` for that of this machine. "
        "Default: one of the server's own, which ends with it.",
    )
    replicas: int | None = Field(
        None, ge=1, le=1024, description="Replicas, each with an engine of its own. Default: 1."
    )
    min_replicas: int | None = Field(
        None, ge=1, le=1024, description="In place of `replicas`: fewest, when little is to do."
    )
    max_replicas: int | None = Field(
        None, ge=1, le=1024, description="Most replicas, when much waits."
    )
    gpus_per_replica: float | None = Field(
        None,
        ge=0,
        le=16,
        description="GPUs that one replica takes. Default: 1 where the cluster has any and "
        "`device` is not `cpu`.",
    )

    @property
    def replicas_least(self) -> int:
        """How many replicas there are at the least."""
        return self.min_replicas or self.replicas or 1

    @property
    def replicas_most(self) -> int:
        """How many there may be."""
        return max(self.replicas_least, self.max_replicas or 0)
