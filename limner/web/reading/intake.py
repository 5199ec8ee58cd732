"""How a call's pictures come in: afforded, fetched, counted, and decoded somewhere else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from limner import fetching, pools
from limner.domain.params import Generation
from limner.errors import UnknownModel
from limner.imaging.budget import Budget
from limner.imaging.pool import Decoder, Here
from limner.imaging.tasks import Result
from limner.settings import Settings
from limner.usecases.drawing.choosing import Chosen
from limner.usecases.preprocessing import Preprocessing


class Choose(Protocol):
    """``usecases.drawing.generate.Generate.choose``."""

    async def __call__(
        self, model: str = "", vae: str = "", loras: Sequence[str] = ()
    ) -> Chosen | None: ...


Afford = Callable[[Sequence[Generation]], Awaitable[None]]
_UNBOUNDED = 2**63
FETCHES = pools.Turns(4)


async def _anyhow(_: Sequence[Generation]) -> None:
    """One's own terminal has neither limits nor credits."""


async def _own(model: str = "", vae: str = "", loras: Sequence[str] = ()) -> None:
    """One's own terminal says for itself what draws."""


async def _no_control(kind: str) -> str:
    """One's own terminal has none of the vendor's routes."""
    raise UnknownModel("controls", f"controls: no {kind} ControlNet is here")


@dataclass(frozen=True)
class Intake:
    """For the calls of one ``owner``; what is left out is for the terminal.

    ``afford`` raises where the lines of a call would be refused whatever its pictures are: it is
    cheap, and asked before a picture is fetched or decoded. ``choose`` finds the model and VAE of
    these names, and raises where there is none that draws; ``find_control`` the name of a control
    of a kind. ``preprocessing`` has the networks that make maps.
    """

    settings: Settings
    owner: str = ""
    decoder: Decoder = field(default_factory=Here)
    budget: Budget = field(default_factory=lambda: Budget(_UNBOUNDED))
    afford: Afford = _anyhow
    choose: Choose = _own
    find_control: Callable[[str], Awaitable[str]] = _no_control
    preprocessing: Preprocessing = field(default_factory=Preprocessing)

    async def fetch(self, name: str, value: str | bytes) -> str | bytes:
        """The file that a field holds or names, or its base64.

        A key's files are fetched a few at a time; each counts as the longest there may be until
        it has come. Raises ``InvalidInput``, and ``LimitExceeded`` or ``Unavailable`` where the
        owner's share of the budget, or all of it, is spent.
        """
        if not isinstance(value, str) or not fetching.is_url(value):
            return value
        limits = fetching.Limits(
            self.settings.fetch_max_bytes, self.settings.fetch_max_s, self.settings.fetch_private
        )
        async with FETCHES.mine():
            with self.budget.holding(self.owner, min(limits.max_bytes, self.budget.limit)):
                return await fetching.fetch(value, name, limits)

    async def run(
        self, task: str, name: str, value: str | bytes, size: int = 0, **options: Any
    ) -> Result:
        """What a task of ``imaging.tasks`` finds in the picture of field ``name``.

        File and arrays, of ``size`` bytes at most, count against the budget, the arrays until
        they are let go. Raises as ``fetch``.
        """
        data = await self.fetch(name, value)
        with self.budget.holding(self.owner, len(data) + size):
            result = await self.decoder.run(self.owner, task, data, name, **options)
        self.budget.keep(self.owner, *result.arrays)
        return result
