"""The paper doll's data: a character with its colours mixed and its pose set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.scene import Scene


@dataclass(frozen=True)
class Doll:
    """What every part is drawn from; the hands are in doll units."""

    scene: Scene
    skin: np.ndarray
    hair: np.ndarray
    main: np.ndarray
    second: np.ndarray
    metal: np.ndarray
    grip: tuple[float, float]  # where the weapon's hand is, in doll units
    guard: tuple[float, float]  # where the other hand is

    @property
    def bony(self) -> bool:
        return self.scene.race == "skeleton"
