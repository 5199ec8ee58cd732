"""Words that are names of embeddings in the trade, told where no embedding stands behind them.

A prompt from a picture's page is full of them; drawn as plain words they do little or harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from limner.domain.attention import Span
from limner.domain.chunks import Tokenize, encoded
from limner.domain.embeddings import PREFIX, Embedding, Names

NAMES = (
    "aid210", "aid291", "AS-YoungV2-neg", "bad-artist", "bad-artist-anime", "bad-hands-5",
    "bad-image-v2-39000", "bad-picture-chill-75v", "bad_pictures", "bad_prompt",
    "bad_prompt_version2", "badhandv4", "badhandsv5-neg", "BadDream", "By bad artist -neg",
    "CyberRealistic_Negative", "DeepNegative", "EasyNegative", "EasyNegativeV2", "easynegative",
    "FastNegativeV2", "FastNegativeEmbedding", "JuggernautNegative-neg", "negative_hand",
    "negative_hand-neg", "ng_deepnegative_v1_4t", "ng_deepnegative_v1_64t",
    "ng_deepnegative_v1_75t", "pureerosface_v1", "realisticvision-negative-embedding",
    "rev2-badprompt", "ulzzang-6500", "UnrealisticDream", "verybadimagenegative_v1.3",
)  # fmt: skip
_NAMED = re.compile(rf"\b{PREFIX}\s*([^\s,:()\[\]|]+)", re.IGNORECASE)


def strangers(
    spans: Iterable[Span], embeddings: Iterable[Embedding], tokenize: Tokenize
) -> Iterator[str]:
    """What to tell the writer of ``spans``, whose names of ``embeddings`` are vectors."""
    those = list(dict.fromkeys(span for span in spans if span != Span.BREAK))
    known = {embedding.name.lower() for embedding in embeddings}
    trade = _trade(tokenize)
    for span, tokens in zip(those, encoded(those, tokenize), strict=True):
        said = [name for _, name in trade.found(tokens)]
        said += [match[1] for match in _NAMED.finditer(span.text)]
        for name in said:
            if not any(other.startswith(name.lower()) for other in known):
                yield (
                    f"{name!r} was read as plain words: it looks like the name of an embedding, "
                    "and none of that name is drawn with."
                )


@lru_cache(maxsize=1)
def _trade(tokenize: Tokenize) -> Names[str]:
    return Names(zip(tokenize(NAMES), NAMES, strict=True))
