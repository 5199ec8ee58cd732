"""The controls of one model that are in memory, and what a picture follows of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from limner.domain.controls import Control
from limner.domain.tiling import APART, Axes
from limner.engine.adapters.keeping import Resident
from limner.engine.adapters.resident import Find
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.controls.nets import ControlNet, Net
from limner.engine.controls.reading import load
from limner.engine.controls.rows import Use, Uses
from limner.errors import InvalidInput

CAPACITY = 2 << 30
"""Bytes of nets that are kept: of full size two in half precision, or one and a half in whole."""


@dataclass(frozen=True, eq=False)
class Led:
    """What a picture follows at each evaluation: pairs of a use and whether it is for rows of the
    prompt alone."""

    by_evaluation: tuple[tuple[tuple[Use, bool], ...], ...] = ()

    def at(self, k: int, rows: int, negatives: int) -> tuple[Uses, ...]:
        """The uses of each of ``rows`` rows, the first ``negatives`` of the negative prompt."""
        on = self.by_evaluation[k] if self.by_evaluation else ()
        every = tuple(use for use, conditional in on if not conditional)
        both = tuple(use for use, _ in on)
        return tuple(every if row < negatives else both for row in range(rows))


NO_CONTROLS = Led()


class Controls(Resident[Control, Net]):
    """Nets for a loaded model, read where they are first asked for; for any thread.

    ``prepare`` is given each net's model before it is used; the fewest rows with which it runs.
    """

    def __init__(
        self,
        find: Find,
        checkpoint: Checkpoint,
        prepare: Callable[[nn.Module], int] = lambda _: 1,
        capacity: int = CAPACITY,
    ) -> None:
        def read(control: Control) -> Net:
            net = load(find(control.sha256), checkpoint)
            return replace(net, rows_min=prepare(net.model))

        super().__init__("controls", read, capacity)

    def led(
        self,
        controls: Sequence[Control],
        maps: Mapping[str, Tensor],
        count: int,
        axes: Axes = APART,
    ) -> Led:
        """What a picture follows at each of ``count`` evaluations.

        ``maps``: RGB uint8 (H, W, 3) by SHA-256, on the model's device and of as many pixels as its
        latent spans; ``axes``: along which edges of the picture meet. Raises ``InvalidInput`` as
        ``get`` does, and where one is not there.
        """
        told = []
        for control in controls:
            net = self.get(control)
            told.append(
                (control, (self._use(control, net, maps, axes), _is_conditional(control, net)))
            )
        if not told:
            return NO_CONTROLS
        return Led(tuple(tuple(t for c, t in told if c.on(k, count)) for k in range(count)))

    def hint_bytes(self, controls: Sequence[Control], height: int, width: int) -> int:
        """Of what a picture of a latent's size keeps of its maps."""
        return sum(self.get(control).hint_bytes(height, width) for control in controls)

    def _use(self, control: Control, net: Net, maps: Mapping[str, Tensor], axes: Axes) -> Use:
        if control.map_sha256 not in maps:
            raise InvalidInput(
                "controls", f"The map {control.map_sha256[:12]}... is not here; send its pixels."
            )
        weights = tuple(control.strength(place, net.places) for place in range(net.places))
        return Use(net, net.hint(maps[control.map_sha256], axes), weights)


def _is_conditional(control: Control, net: Net) -> bool:
    return control.conditional or (isinstance(net, ControlNet) and net.pooled)
