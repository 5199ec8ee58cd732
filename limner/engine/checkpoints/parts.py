"""A checkpoint on disk: where its parts lie, and what is known of it before it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from limner.engine.checkpoints import digests, prediction, ways
from limner.engine.checkpoints.headers import Header, TensorInfo
from limner.engine.checkpoints.names import TEXT, UNET, VAE
from limner.errors import CheckpointError

T = TypeVar("T")

PARTS = ("unet", "vae", "text_encoder")
PREFIXES: Mapping[str, str] = {"unet": UNET, "vae": VAE, "text_encoder": TEXT}


@dataclass(frozen=True)
class Part:
    """The UNet, the VAE or the text encoder: its config and the files with its tensors.

    ``alone`` when these files hold nothing else, as in a folder; ``notes`` say what is odd about
    it; ``positions`` are a text encoder's position ids where these are not 0, 1, 2, ...
    """

    config: Mapping[str, Any]
    headers: tuple[Header, ...]
    alone: bool = False
    notes: tuple[str, ...] = ()
    positions: tuple[int, ...] | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(header.path for header in self.headers)

    def tensors(self, name: str) -> dict[str, TensorInfo]:
        """Of this part, ``name`` in ``PARTS``, by their names without the prefix."""
        prefix = PREFIXES[name]
        return {
            key.removeprefix(prefix): info
            for header in self.headers
            for key, info in header.tensors.items()
            if self.alone or key.startswith(prefix)
        }


@dataclass(frozen=True)
class Layout:
    """A checkpoint on disk.

    ``scheduler`` is its scheduler's config, ``licence`` the one its card or provenance names,
    ``changes`` lists what an import did to the author's file and what is odd about it, and
    ``told`` by what a single file says how it predicts, ``said`` what was wished otherwise or
    stands beside it. ``alone`` is the scheduler's config without that; None where it is the same.
    ``vae_beside`` is a VAE of its name that lies beside a checkpoint without one, and
    ``source_sha256`` the sum of the author's file where this is not it.
    """

    path: Path
    parts: Mapping[str, Part]
    scheduler: Mapping[str, Any]
    tokenizer: Path
    licence: str | None
    precision: str
    changes: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    alone: Mapping[str, Any] | None = None
    vae_beside: Path | None = None
    source_sha256: str | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """``changes``, what is odd about its own parts, and a VAE that lies beside it."""
        beside = (taken_beside(self.vae_beside),) if self.vae_beside else ()
        return (*told(self, self.parts), *beside)

    def schedule(self) -> dict[str, Any]:
        """The constructor arguments that it decides for schedulers.

        Raises CheckpointError for a prediction or a schedule that cannot be drawn with.
        """
        return prediction.schedule(self.scheduler, self.path.name)

    @property
    def files(self) -> list[Path]:
        """Every file whose bytes decide what is drawn, for the sum of a folder."""
        files = {file for part in self.parts.values() for file in part.files}
        configs = [self.path / name / "config.json" for name in self.parts]
        configs.append(self.path / "scheduler" / "scheduler_config.json")
        return sorted(files | {file for file in configs if file.is_file()})

    @property
    def sha256(self) -> str:
        """Of the file; of a folder the sum of what decides what is drawn."""
        if self.path.is_dir():
            return digests.folder_sha256(self.path, self.files)
        return digests.sha256(self.path)


def of_all(names: Iterable[str], make: Callable[[str], T]) -> dict[str, T]:
    """What ``make`` gives for each part's name; its refusals of several are told together."""
    made: dict[str, T] = {}
    refusals: list[CheckpointError] = []
    for name in names:
        try:
            made[name] = make(name)
        except CheckpointError as error:
            refusals.append(error)
    if refusals:
        raise CheckpointError(" ".join(dict.fromkeys(map(str, refusals)))) from refusals[0]
    return made


def pickled(parts: Mapping[str, Part]) -> bool:
    """Whether some of a checkpoint's weights lie in a pickle."""
    return any(header.pickled for part in parts.values() for header in part.headers)


def quantised(file: str, part: str, info: TensorInfo) -> CheckpointError:
    """For a part's weights that are no floating-point numbers."""
    return CheckpointError(
        f"{file}: {info.name!r} of the {part} is stored as {info.dtype}, quantised; "
        "take the file in float16, bfloat16 or float32."
    )


def another(name: str) -> str:
    """The way out where a part is no good, as the end of a sentence."""
    way = {"vae": ways.OTHER_VAE, "text_encoder": ways.OTHER_TEXT}.get(name)
    return f"; {way}" if way else ""


def taken_beside(vae: Path) -> str:
    """What is told of a VAE that is taken because it lies beside a checkpoint without one."""
    return f"VAE taken from {vae.name}, which lies beside"


def told(layout: Layout, parts: Mapping[str, Part]) -> tuple[str, ...]:
    """What is to be told of a checkpoint that is loaded from these parts."""
    return (*layout.changes, *(note for part in parts.values() for note in part.notes))
