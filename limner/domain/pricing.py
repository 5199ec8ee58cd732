"""What a picture costs: the one place where work becomes micro-credits.

The unit is one micro-credit for one UNet row over one tile of 64 x 64 pixels. A row is one
evaluation of one branch of the guidance, so a scheduler that evaluates twice a step costs
twice, and guidance 1 (no unconditional branch) costs half, also where it is 1 for a part of the
steps. A LoRA adds a fifth of a row to each row that it changes, a ControlNet seven twentieths; a
T2I-Adapter, which runs once for a picture, adds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal, InvalidOperation

from limner.domain.params import Generation

TILE = 64
LORA_PERCENT = 20  # of a row; docs/log.md has what one of rank 32 was measured to cost
CONTROL_PERCENT = {"controlnet": 35, "t2i-adapter": 0}  # of a row, by operations counted
MICRO = 1_000_000
CREDITS_MAX = 1_000_000_000  # of one amount; balances in micro-credits stay within 64 bits


@dataclass(frozen=True)
class Quote:
    """A price: ``rows`` UNet rows over ``tiles`` tiles, ``samples`` times.

    ``lora_rows`` and ``control_rows`` are what LoRAs and ControlNets add, in rows. ``then``: what
    a picture's next pass costs.
    """

    rows: int
    tiles: int
    samples: int
    lora_rows: int = 0
    control_rows: int = 0
    then: Quote | None = None

    @property
    def each_micro(self) -> int:
        """Micro-credits for one picture."""
        own = (self.rows + self.lora_rows + self.control_rows) * self.tiles
        return own if self.then is None else own + self.then.each_micro

    @property
    def total_micro(self) -> int:
        """Micro-credits for all pictures of the request."""
        return self.each_micro * self.samples


def quote(generation: Generation, weights: Sequence[float]) -> Quote:
    """Price of one pass; ``weights`` are those of the prompts that its ``AND`` joins."""
    tiles = -(-generation.width // TILE) * -(-generation.height // TILE)
    rows = generation.rows(weights)
    changed = sum(
        count
        for lora in generation.loras
        for k, count in enumerate(rows)
        if lora.unet and lora.on(k, len(rows))
    )
    led = sum(
        CONTROL_PERCENT[control.kind]
        * (min(count, len(weights) + len(generation.regions)) if control.conditional else count)
        for control in generation.controls
        for k, count in enumerate(rows)
        if control.on(k, len(rows))
    )
    return Quote(
        rows=sum(rows),
        tiles=tiles,
        samples=generation.samples,
        lora_rows=-(-changed * LORA_PERCENT // 100),
        control_rows=-(-led // 100),
    )


def together(quotes: Sequence[Quote]) -> Quote:
    """The price of passes that are drawn one after the other."""
    *before, total = quotes
    for each in reversed(before):
        total = replace(each, then=total)
    return total


def as_credits(micro: int) -> Decimal:
    """Micro-credits as credits, exactly: 2600 is ``Decimal("0.0026")``."""
    value = Decimal(micro) / MICRO
    return value.quantize(Decimal(1)) if value == value.to_integral() else value.normalize()


def as_text(micro: int) -> str:
    """Micro-credits as a plain decimal of credits, never in scientific notation."""
    return f"{as_credits(micro):f}"


def as_micro(credits: str | int | Decimal) -> int:
    """Credits as written by a person ("10", "0.5") in micro-credits, rounded down.

    Raises ``ValueError`` for what is not a decimal number of at most ``CREDITS_MAX``, and for one
    that would be rounded down to nothing.
    """
    try:
        amount = Decimal(credits)
    except InvalidOperation as error:
        raise ValueError(f"{credits!r} is not an amount of credits such as 10 or 0.5") from error
    if not amount.is_finite():
        raise ValueError(f"{credits!r} is not an amount of credits such as 10 or 0.5")
    if not -CREDITS_MAX <= amount <= CREDITS_MAX:
        raise ValueError(f"{credits} is more than {CREDITS_MAX:,} credits")
    micro = int((amount * MICRO).to_integral_value(ROUND_DOWN))
    if amount and not micro:
        raise ValueError(f"{credits} is less than a micro-credit, 0.000001")
    return micro
