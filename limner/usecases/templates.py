"""Templates: ``{a|b}`` and ``__wildcard__``, for requests that ask for ``template: true``.

dynamicprompts reads them and passes the prompt grammar through. Its variables and wraps
(``${``, ``%{``) are refused, because a few of them grow without bound, and so are its marks that
change how a single choice is drawn; its comments (``#``) are kept as text, because prompts hold
colours.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from limner.domain.params import PROMPT_LENGTH_MAX
from limner.domain.styles import Catalogue
from limner.errors import InvalidInput
from limner.usecases.catalogue import FILES

if TYPE_CHECKING:
    from dynamicprompts.sampling_context import SamplingContext

COMBINATIONS_MAX = 64
DEPTH_MAX = 10
CHOICES_MAX = 100

_WILDCARD = re.compile(r"__(?=\S)([\w/*-]+?)__")
_REFUSED = ("${", "%{", "{!", "{~", "{@", "__!", "__~", "__@")
_HASH = "\ue023"  # of the private use area: stands for "#", which would begin a comment


def wildcards(catalogue: Catalogue) -> dict[str, list[str]]:
    """The catalogue's phrases under the names of its files: ``__moods__`` and so on."""
    return {
        name: [style.text for style in catalogue[kind].values()] for kind, name in FILES.items()
    }


def expand(field: str, texts: Sequence[str], seed: int, catalogue: Catalogue) -> list[str]:
    """Each of ``texts`` with its choices drawn, in order, from ``seed``.

    Raises:
        InvalidInput: a template that cannot be read, or a wildcard that nobody defined.
    """
    context = _context(catalogue, Random(seed), every=False)
    return [_sample(field, text, context, 1, catalogue)[0] for text in texts]


def combinations(field: str, text: str, catalogue: Catalogue) -> list[str]:
    """Every reading of ``text``, in order.

    Raises:
        InvalidInput: as ``expand``, or more readings than ``COMBINATIONS_MAX``.
    """
    context = _context(catalogue, Random(0), every=True)
    found = _sample(field, text, context, COMBINATIONS_MAX + 1, catalogue)
    if len(found) > COMBINATIONS_MAX:
        raise InvalidInput(
            field, f"{field} has more than {COMBINATIONS_MAX} combinations, which is the most."
        )
    return found


def _context(catalogue: Catalogue, rand: Random, *, every: bool) -> SamplingContext:
    from dynamicprompts.enums import SamplingMethod
    from dynamicprompts.sampling_context import SamplingContext
    from dynamicprompts.wildcards import WildcardManager

    method = SamplingMethod.COMBINATORIAL if every else SamplingMethod.RANDOM
    manager = WildcardManager(root_map={"": [wildcards(catalogue)]})
    return SamplingContext(method, manager, rand=rand)


def _sample(
    field: str, text: str, context: SamplingContext, count: int, catalogue: Catalogue
) -> list[str]:
    from pyparsing import ParseBaseException

    if not text.strip():
        return [text]
    _check(field, text, catalogue)
    try:
        sampled = context.sample_prompts(text.replace("#", _HASH), count)
        read = [str(prompt).replace(_HASH, "#") for prompt in sampled]
    except (ParseBaseException, ValueError, LookupError, RecursionError) as error:
        reason = str(error).splitlines()[0].replace(_HASH, "#") if str(error) else "it is malformed"
        raise InvalidInput(field, f"{field} cannot be read as a template: {reason}.") from error
    if longest := max(
        (len(prompt) for prompt in read if len(prompt) > PROMPT_LENGTH_MAX), default=0
    ):
        raise InvalidInput(
            field,
            f"{field} is {longest} characters long once its template is filled in; at most "
            f"{PROMPT_LENGTH_MAX} are read.",
        )
    return read


def _check(field: str, text: str, catalogue: Catalogue) -> None:
    """Refuse what would take the template reader too long, or read as something else."""
    for mark in _REFUSED:
        if mark in text:
            raise InvalidInput(
                field, f"{field} holds {mark!r}; a template may hold {{a|b}} and __wildcard__."
            )
    depth = deepest = 0
    for letter in text:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        deepest = max(deepest, depth)
    choices = text.count("{") + len(_WILDCARD.findall(text))
    if deepest > DEPTH_MAX or choices > CHOICES_MAX:
        raise InvalidInput(
            field,
            f"{field} has {choices} choices, nested {deepest} deep; a template may have "
            f"{CHOICES_MAX}, nested {DEPTH_MAX} deep.",
        )
    known = wildcards(catalogue)
    for match in _WILDCARD.finditer(text):
        if not fnmatch.filter(known, match[1]):
            raise InvalidInput(
                field,
                f"{field} uses the wildcard {match[0]!r}, which nobody defined; defined are: "
                f"{', '.join(f'__{name}__' for name in known)}.",
            )
