"""What speaks against an import and is known before PyTorch is imported."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from limner.engine.checkpoints import folders
from limner.engine.checkpoints.inspection import (
    DESCRIPTIONS,
    LOADED,
    SUPPORTED,
    kind_of,
    read_header,
)
from limner.errors import CheckpointError

PRECISIONS = ("keep", "float16")
KINDS = (*LOADED, "vae", "lora")


def check(
    source: Path, models: Path, name: str | None, precision: str, named: Collection[str] = ()
) -> Path:
    """The new folder in ``models``. Raises CheckpointError where nothing could be imported.

    ``named`` are the parts that come from other files, of ``vae`` and ``text_encoder``.
    """
    target = models / _name(name or source.stem)
    if target.exists():
        raise taken(target)
    if precision not in PRECISIONS:
        raise CheckpointError(f"precision is {precision!r}; allowed are {', '.join(PRECISIONS)}.")
    kind(source, named)
    return target


def kind(source: Path, named: Collection[str] = ()) -> str:
    """One of ``KINDS``, or ``unet`` where both other parts are ``named``.

    Raises CheckpointError for everything else, for a VAE or a LoRA where a part is named, and for
    a LoRA that needs no import.
    """
    if source.is_dir():
        return folders.kind(folders.read_parts(source))
    header = read_header(source)
    found = kind_of(header)
    if found == "unet" and {"vae", "text_encoder"} <= set(named):
        return found
    if found == "unet":
        raise CheckpointError(_unet_alone(source, named))
    if found in ("vae", "lora") and named:
        what = {"vae": "VAE", "lora": "LoRA"}[found]
        raise CheckpointError(
            f"{source.name} is a {what}; --vae and --text-encoder go with a checkpoint."
        )
    if found == "lora" and not header.pickled:
        raise CheckpointError(
            f"{source.name} is a LoRA and no pickle, and can be used as it is, in a folder that "
            "--models-dir names."
        )
    if found not in KINDS:
        raise CheckpointError(
            f"{source.name} seems to be {DESCRIPTIONS[found]}; {SUPPORTED}, and VAEs and pickled "
            "LoRAs for them."
        )
    return found


def _unet_alone(source: Path, named: Collection[str]) -> str:
    """What of the two options is missing that make a whole checkpoint of it together."""
    flags = {"text_encoder": "--text-encoder", "vae": "--vae"}
    missing = " and ".join(flag for name, flag in flags.items() if name not in named)
    also = " too" if len(named) else ""
    return f"{source.name} is a UNet alone; with {missing}{also} it becomes a whole checkpoint."


def taken(target: Path) -> CheckpointError:
    """For a name that another import has."""
    return CheckpointError(f"{target} exists already; choose another name with --name.")


def _name(name: str) -> str:
    if not name or name.startswith(".") or any(c in name for c in '/\\:*?"<>|\0'):
        raise CheckpointError(f"{name!r} cannot be the name of a folder.")
    return name
