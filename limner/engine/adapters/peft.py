"""What PEFT says of an adapter beside its numbers: how strong it is in each layer.

Either in the metadata of a file of diffusers', or in the ``adapter_config.json`` that PEFT writes
beside ``adapter_model.safetensors`` and without which its tensors mean nothing certain. Sources:
peft 0.21, ``LoraConfig`` and ``get_pattern_key``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from limner.engine.adapters.targets import Target
from limner.engine.checkpoints.headers import Header
from limner.errors import CheckpointError

CONFIG, OWN_NAME, PREFIX = "adapter_config.json", "adapter_model.safetensors", "base_model.model."
_METADATA = "lora_adapter_metadata"
_BYTES_MAX = 1 << 20
# What changes more than the strength; where one of these says something, a file is refused.
_UNKNOWN = (
    "alora_invocation_tokens", "arrow_config", "fan_in_fan_out", "kasa_config",
    "layer_replication", "monteclora_config", "target_parameters", "use_bdlora", "use_qalora",
    "velora_config",
)  # fmt: skip
# Ways to begin a training that change the model itself: the file is nothing without that change.
_CHANGED_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")

Alpha = Callable[[int], float]
"""By the rank of a layer."""


def said(header: Header) -> Mapping[str, Any] | None:
    """What lies beside a file of PEFT's; None of other files.

    Raises:
        CheckpointError: it is missing beside a file of PEFT's own name, cannot be read, or says
            what is not done here; the sentence names the field.
    """
    if not header.any(PREFIX):
        return None
    file, path = header.path.name, header.path.with_name(CONFIG)
    try:
        with path.open("rb") as content:
            config = json.loads(content.read(_BYTES_MAX + 1)[:_BYTES_MAX])
    except FileNotFoundError as error:
        if file != OWN_NAME or any(name.endswith(".alpha") for name in header.tensors):
            return None
        raise CheckpointError(
            f"{file} lacks {CONFIG}, which PEFT writes beside it and which says how strong it is."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: {CONFIG} beside it cannot be read as JSON.") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{file}: {CONFIG} beside it holds no JSON object.")
    _require(file, config)
    return config


def _require(file: str, config: Mapping[str, Any]) -> None:
    """Raise ``CheckpointError`` for what is not done here, and for numbers that are none."""
    begun = config.get("init_lora_weights")
    if isinstance(begun, str) and begun.lower().startswith(_CHANGED_BASE):
        raise CheckpointError(
            f"{file}: {CONFIG} says init_lora_weights {begun!r}, which changed the model that it "
            "was trained on; save it as a plain LoRA (path_initial_model_for_weight_conversion)."
        )
    for name in _UNKNOWN:
        if config.get(name):
            raise CheckpointError(f"{file}: {CONFIG} says {name}, which is not done here.")
    for name in ("lora_alpha", "alpha"):
        if name in config and not _is_strength(config[name]):
            raise CheckpointError(
                f"{file}: {CONFIG} says {name} {config[name]!r}, which is no strength."
            )
    whole = config.get("alpha") == config.get("r") and not config.get("alpha_pattern")
    if config.get("peft_type") == "LOKR" and not whole:
        raise CheckpointError(
            f"{file}: {CONFIG} says an alpha other than r, which is not done for LoKr."
        )
    patterns = config.get("alpha_pattern") or {}
    if not isinstance(patterns, dict) or not all(map(_is_strength, patterns.values())):
        raise CheckpointError(
            f"{file}: {CONFIG} says an alpha_pattern that is no table of numbers."
        )
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise CheckpointError(
                f"{file}: {CONFIG} has the alpha_pattern {pattern!r}, which is none ({error})."
            ) from error


def _is_strength(value: Any) -> bool:
    """Whether it is a finite number that is not 0, at which nothing would be left."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value != 0


def alpha(
    header: Header, config: Mapping[str, Any] | None, target: Target, name: str
) -> Alpha | None:
    """The alpha of a layer, ``name`` in the file, where ``config`` or the metadata says one."""
    if config is not None:
        return _alpha(config, name.removeprefix(PREFIX))
    try:
        metadata = json.loads(header.metadata[_METADATA])
        own = {k.removeprefix(f"{target.part}."): v for k, v in metadata.items()}
        return _alpha(own, target.path)
    except (LookupError, ValueError, TypeError, AttributeError, re.error, RecursionError):
        return None


def _alpha(config: Mapping[str, Any], module: str) -> Alpha | None:
    """By the first pattern that the module's name ends with, as PEFT looks for it."""
    whole = config.get("lora_alpha", config.get("alpha"))
    patterns = config.get("alpha_pattern") or {}
    found = (value for p, value in patterns.items() if re.match(rf"(.*\.)?({p})$", module))
    told = next(found, whole)
    if told is None:
        return None
    strength = float(told)
    rooted = bool(config.get("use_rslora"))
    return lambda rank: strength * math.sqrt(rank) if rooted else strength
