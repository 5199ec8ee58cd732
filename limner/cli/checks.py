"""What can be known before anything heavy is imported: a start that cannot work costs no time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from limner.errors import SettingsError
from limner.settings import Settings
from limner.settings.replicas import ReplicaSettings

if TYPE_CHECKING:
    from limner.domain.model import Card
    from limner.engine.checkpoints.prediction import Wish


def model(settings: Settings) -> None:
    """Raise unless the model's and the VAE's files and the device can be what is asked for."""
    from limner.engine.checkpoints import devices, layouts

    devices.check(settings.device)
    layouts.check(settings.model, settings.vae, wish(settings))


def replicas(settings: Settings) -> None:
    """Raise where something is said of replicas and there will be none."""
    given = settings.model_fields_set & set(ReplicaSettings.model_fields) - {"engine"}
    if settings.engine == "thread" and given:
        named = ", ".join(sorted(given))
        raise SettingsError(f"engine is 'thread', which has no {named}; they need engine 'ray'.")


def wish(settings: Settings) -> Wish:
    """What the settings say over the model's files."""
    from limner.engine.checkpoints.prediction import Wish

    return Wish(
        settings.prediction, settings.zero_snr, settings.text_encoder, settings.clip_positions
    )


def folders(settings: Settings) -> None:
    """Make the folders that the server writes to. Raises ``SettingsError`` where it cannot."""
    for name, path in _folders(settings):
        with _writing(name, path):
            path.mkdir(parents=True, exist_ok=True)
            _try(path)


def folders_to_be(settings: Settings) -> Path:
    """The same, but nothing is made: the folder that is there, to hold the others."""
    for name, path in _folders(settings):
        with _writing(name, path):
            _try(nearest(path))
    return nearest(settings.data_dir)


def _folders(settings: Settings) -> list[tuple[str, Path]]:
    place, own = settings.pictures_place, [("data_dir", settings.data_dir)]
    return [*own, ("its pictures", place)] if isinstance(place, Path) else own


def nearest(path: Path) -> Path:
    """The path, or the closest one above it that exists."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def card(settings: Settings) -> Card:
    """Of the model that will be loaded; its files are read, no weights are made of them."""
    from limner.engine.checkpoints import cards

    return cards.read(settings.model, settings.vae, wish(settings))


@contextmanager
def _writing(name: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = str(error.strerror).lower()
        raise SettingsError(f"{name}: {path} cannot be written to: {reason}.") from error


def _try(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder):
        pass
