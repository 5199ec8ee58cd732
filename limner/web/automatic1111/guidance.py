"""How AUTOMATIC1111's fields say to guide: ``cfg_scale``, an option, and an extension."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.domain.guidance_names import SKIP_EARLY, from_skip_early
from limner.web.automatic1111 import scripts
from limner.web.reading import guidance
from limner.web.reading.fields import Number


def fields_of(
    values: Mapping[str, Any], notes: list[str], networks: Mapping[str, str]
) -> dict[str, Any]:
    """Fields of a ``Generation``; what is not served of its scripts is noted.

    ``networks``: those of the library that make maps, by name and by kind.

    Raises ``InvalidInput``.
    """
    fields = {"guidance": values["cfg_scale"], **guidance.chosen(values)}
    if (share := values["override_settings"].get(SKIP_EARLY)) is not None:
        fields |= from_skip_early(Number(0, 1).read(f"override_settings.{SKIP_EARLY}", share))
    return fields | scripts.fields_of(values.get(scripts.ALWAYS_ON, {}), notes, networks)
