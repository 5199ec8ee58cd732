"""What an operator chooses of memory for models and pictures."""

from __future__ import annotations

from pydantic import BaseModel, Field


class MemorySettings(BaseModel):
    """Part of ``Settings``."""

    memory_max_mib: int | None = Field(
        None,
        ge=64,
        description="Memory for pictures in flight. Default: chosen from what is free, on a CPU a "
        "quarter of what the machine and a container's limits leave.",
    )
    models_memory_max_mib: int | None = Field(
        None,
        ge=1,
        description="Memory for models; the least recently used goes when another is asked for. "
        "Default: the first model, and half of what is free once it is loaded.",
    )
    models_ram_max_mib: int | None = Field(
        None,
        ge=0,
        description="Beside a GPU: memory of the machine for models, from which they come onto "
        "the GPU by a copy; 0: none. Default: half of what is free when the first is loaded.",
    )
    loras_memory_max_mib: int = Field(
        512,
        ge=1,
        description="Memory for LoRAs, of each model that is in memory and beside what models may "
        "take; the least recently used goes, never one with pictures in flight.",
    )
    prompt_cache_max_mib: int = Field(
        128, ge=0, le=65536, description="Memory for encoded prompts."
    )
