"""What a request's prompts may ask, checked before credits are held and by the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from limner.domain.attention import Span
from limner.domain.chunks import check_chunks, check_encoded
from limner.domain.editing import CHOICES_MAX, SHOWN_MAX
from limner.domain.params import BRANCHES_MAX
from limner.domain.prompt import Prompt
from limner.errors import InvalidInput


def check_prompts(
    prompts: Mapping[str, Prompt], count_chunks: Callable[[tuple[Span, ...]], int]
) -> int:
    """Chunks of the longest text that ``prompts``, by their fields, show over the steps.

    Raises ``InvalidInput`` beyond ``BRANCHES_MAX`` composed prompts, ``CHUNKS_MAX`` chunks, or
    ``ENCODED_MAX`` chunks of all texts that the steps show; and for too much editing.
    """
    longest = encoded = 0
    for field, prompt in prompts.items():
        if len(prompt.weights) > BRANCHES_MAX:
            raise InvalidInput(
                field,
                f"{field} composes {len(prompt.weights)} prompts with AND; at most {BRANCHES_MAX} "
                "are drawn.",
            )
        if prompt.too_much_editing:
            raise InvalidInput(
                field,
                f"{field} changes too much over the steps: at most {CHOICES_MAX} brackets of "
                f"editing and alternation are read, and {SHOWN_MAX:,} characters that they show.",
            )
        for spans in dict.fromkeys(b.spans for entry in prompt.entries for b in entry.branches):
            chunks = count_chunks(spans)
            check_chunks(field, [chunks])
            longest, encoded = max(longest, chunks), encoded + chunks
            check_encoded(field, encoded)
    return longest
