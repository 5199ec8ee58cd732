"""Networks that make pictures larger, told by their tensors: which one, by how much, and whether.

spandrel knows them by their tensors' names (``networks``, and with it PyTorch, is imported where a
file is nothing else that is known). Of what it does not know, some is told here by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.engine.checkpoints.headers import Header, TensorInfo
from limner.errors import CheckpointError

SCALE_MAX = 16

# What networks do that are no upscalers, or none here, by spandrel's names for them.
OTHER: Mapping[str, str] = {
    **dict.fromkeys(("GFPGAN", "RestoreFormer"), "restores faces"),
    "LaMa": "fills holes in pictures",
    **dict.fromkeys(("SCUNet", "DRUNet", "DnCNN", "KBNet"), "takes noise out of pictures"),
    "FBCNN": "takes traces of JPEG out of pictures",
    **dict.fromkeys(("FFTformer", "NAFNet", "Uformer"), "restores pictures"),
    "MixDehazeNet": "takes haze out of pictures",
    **dict.fromkeys(("RetinexFormer", "HVI-CIDNet"), "lightens dark pictures"),
    "AuraSR": "draws noise of its own, so that nothing comes out twice alike",
}
_FOREIGN = "its licence keeps spandrel from bringing it"
# Tensors that only networks have which spandrel does not bring.
_UNKNOWN: tuple[tuple[str, str, str], ...] = (
    ("CodeFormer", "restores faces", "idx_pred_layer.1.weight"),
    (
        "SRFormer",
        "",
        "layers.0.residual_group.blocks.0.attn.aligned_relative_position_index",
    ),
    ("FeMaSR", "", "multiscale_encoder.in_conv.weight"),
)
_MARK = "conv_first."  # of most that make pictures larger, those of tomorrow included


def is_one(header: Header) -> bool:
    """Whether the tensors are of a network for pictures, most of which make them larger."""
    return _found(header) is not None or bool(_unknown(header))


def facts(header: Header) -> dict[str, Any]:
    """``network`` by spandrel's name, ``scale``, how many times larger it makes a picture, and
    ``reason``, a sentence on why it makes none larger; each None where it is not told.

    ``network`` is ``unknown`` of one that spandrel does not know.
    """
    found = _found(header)
    if found is None:
        name, does = _unknown(header) or ("unknown", "")
        return {"network": name, "scale": None, "reason": _stranger(header.path.name, name, does)}
    told: dict[str, Any] = {"network": found.name, "scale": None}
    if found.name in OTHER:
        return told | {"reason": _other(header.path.name, found.name, OTHER[found.name])}
    try:
        network = _networks().told(header)
    except CheckpointError as error:
        return told | {"reason": str(error)}
    return told | {"scale": network.scale, "reason": _refusal(header.path.name, network)}


def require(header: Header) -> None:
    """Raise ``CheckpointError`` with the ``reason`` of a file that makes no pictures larger."""
    if reason := facts(header)["reason"]:
        raise CheckpointError(reason)


def _networks() -> Any:
    from limner.engine.checkpoints import networks  # heavy

    return networks


def _found(header: Header) -> Any:
    """spandrel's architecture; None of none that it knows, and where there is no spandrel."""
    try:
        found = _networks().detected(header)
    except CheckpointError:
        return None
    return None if found is not None and found.id == "Compact" and not _slopes(header) else found


def _slopes(header: Header) -> bool:
    """Whether its layers, whose names are plain, are a convolution, then a slope a channel."""
    first = (_tensor(header, f"body.{n}.weight") for n in (0, 1))
    return [each and each.ndim for each in first] == [4, 1]


def _tensor(header: Header, name: str) -> TensorInfo | None:
    at = _networks().unwrapped(header.tensors).get(name)
    return header.tensors[at] if at else None


def _unknown(header: Header) -> tuple[str, str] | None:
    """The name of a network that spandrel does not know, and what it does."""
    for name, does, mark in _UNKNOWN:
        if any(each.endswith(mark) for each in header.tensors):
            return name, does
    known = any(each.removeprefix("params_ema.").startswith(_MARK) for each in header.tensors)
    return ("unknown", "") if known else None


def _stranger(file: str, name: str, does: str) -> str:
    if name != "unknown":
        beside = f" {does} and" if does else ""
        return f"{file} is of the network {name}, which{beside} is not read here: {_FOREIGN}."
    return f"{file} is an upscaler of a network that {_networks().version()} does not know."


def _other(file: str, name: str, does: str) -> str:
    return f"{file} is of the network {name}, which {does}; it is no upscaler here."


def _refusal(file: str, network: Any) -> str | None:
    reads, makes = network.reads, network.makes
    if network.purpose not in ("SR", "Restoration"):
        return _other(file, network.name, f"is for {network.purpose.lower()}")
    if reads != makes:
        return (
            f"{file} makes of pictures of {reads} channels some of {makes}; they must be as many."
        )
    if reads not in (1, 3):
        return f"{file} is for pictures of {reads} channels; pictures have 1 or 3."
    if not 1 <= network.scale <= SCALE_MAX:
        return f"{file} makes pictures {network.scale} times as large; at most {SCALE_MAX} is done."
    return None
