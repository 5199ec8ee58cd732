"""The templates of a request: read once for all its lines, drawn for each picture."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from limner.domain.params import PROMPT_LENGTH_MAX
from limner.domain.styles import Catalogue
from limner.domain.templates import CHOICES_MAX, DEPTH_MAX, Template, Wildcards, read
from limner.errors import InvalidInput
from limner.usecases.prompting.catalogue import FILES

__all__ = ["CHOICES_MAX", "DEPTH_MAX", "Templates", "expand", "wildcards"]


def wildcards(catalogue: Catalogue) -> Wildcards:
    """The catalogue's phrases under the names of its files: ``__moods__`` and so on."""
    return {
        name: [style.text for style in catalogue[kind].values()] for kind, name in FILES.items()
    }


class Templates:
    """The templates of one field of a request.

    Raises:
        InvalidInput: a template that cannot be read, or a wildcard that nobody defined.
    """

    def __init__(self, field: str, texts: Sequence[str], catalogue: Catalogue) -> None:
        known = wildcards(catalogue)
        read_once: dict[str, Template] = {t: read(field, t, known) for t in dict.fromkeys(texts)}
        self._field = field
        self._templates = [read_once[text] for text in texts]

    def draw(self, seed: int) -> list[str]:
        """Each text with its choices drawn, in order, from ``seed``.

        Raises ``InvalidInput`` for one grown too long.
        """
        rand = Random(seed)
        return [self._checked(template.draw(rand)) for template in self._templates]

    def _checked(self, text: str) -> str:
        if len(text) > PROMPT_LENGTH_MAX:
            raise InvalidInput(
                self._field,
                f"{self._field} is {len(text)} characters long once its template is filled in; at "
                f"most {PROMPT_LENGTH_MAX} are read.",
            )
        return text


def expand(field: str, texts: Sequence[str], seed: int, catalogue: Catalogue) -> list[str]:
    """Each of ``texts`` with its choices drawn, in order, from ``seed``."""
    return Templates(field, texts, catalogue).draw(seed)
