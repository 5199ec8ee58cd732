"""How a body says which edges of a picture meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.domain.tiling import DEFAULTS, TILINGS
from limner.errors import InvalidInput
from limner.web.reading.fields import Choice, Flag, Number, Reader


class TilingField:
    """An axis or both; true, as AUTOMATIC1111 has it, is both."""

    def read(self, field: str, value: Any) -> str:
        """Raises ``InvalidInput``."""
        try:
            return "xy" if Flag().read(field, value) else "none"
        except InvalidInput:
            return Choice(TILINGS).read(field, value)

    def schema(self) -> dict[str, Any]:
        """JSON schema of the word."""
        return Choice(TILINGS).schema()


READERS: Mapping[str, Reader] = {
    "tiling": TilingField(),
    "tiling_start": Number(0, 1),
    "tiling_end": Number(0, 1),
}


def chosen(values: Mapping[str, Any]) -> dict[str, Any]:
    """What of ``values`` a ``Generation`` is made with. Raises ``InvalidInput``."""
    given = {name: values.get(name, silent) for name, silent in DEFAULTS.items()}
    if given["tiling"] != "none" and "scale" in values:
        raise InvalidInput(
            "tiling",
            f"tiling is {given['tiling']}; outpainting draws beyond the edges of a picture, which "
            "cannot meet as well: leave one out",
        )
    return given
