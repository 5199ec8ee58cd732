"""Explain: what Limner reads in a prompt, without drawing and without torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE

import limner.assets
from limner.domain import regions
from limner.domain.attention import Span
from limner.domain.chunks import ENCODED_MAX, Chunk, Remembered, Token, cut
from limner.domain.embeddings import Embedding, Vector
from limner.domain.limits import check_prompts
from limner.domain.params import BRANCHES_MAX, CHUNKS_MAX, Generation
from limner.domain.prompt import Branch, Entry, Prompt, parse, unparse
from limner.usecases.prompting.trade import strangers
from limner.usecases.prompting.vocabulary import unlearned, words

DIALECT = "automatic1111"

_END = "</w>"
_CLIP = Path(limner.assets.__file__).parent / "clip"
_WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


@lru_cache(maxsize=1)
def clip_tokenizer() -> Tokenizer:
    """CLIP's byte-pair encoding from the vocabulary in the package.

    Source: Radford et al., "Learning Transferable Visual Models From Natural Language
    Supervision", 2021, section 2.4; the word pattern is that of the published tokenizer.
    """
    model = BPE.from_file(
        str(_CLIP / "vocab.json"),
        str(_CLIP / "merges.txt"),
        end_of_word_suffix=_END,
        continuing_subword_prefix="",
        unk_token="<|endoftext|>",
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    return tokenizer


def tokenize(texts: Sequence[str]) -> list[list[int]]:
    """CLIP's tokens of each text by itself, without start and end (``chunks.Tokenize``)."""
    encoded = clip_tokenizer().encode_batch(list(texts), add_special_tokens=False)
    return [encoding.ids for encoding in encoded]


def explain(
    text: str,
    steps: int,
    *,
    negative: bool = False,
    known: frozenset[str] | None = None,
    embeddings: Sequence[Embedding] = (),
) -> dict[str, Any]:
    """How ``text`` is read for a picture of ``steps`` steps, ready for JSON.

    ``schedule`` has an entry wherever the prompt changes, each valid up to and including its
    ``until_step``. ``chunks`` are those of the first entry's branches, one after the other:
    ``[token, weight]`` pairs as in CLIP's vocabulary, without start, end and padding; the first
    place of one of ``embeddings`` has its name, the others nothing.
    ``unlearned`` lists the words that are not among ``known``, those of the model; it is None
    where they are not known. ``canonical`` is the prompt spelt out: every weight, edit and escape
    written in one way.
    """
    prompt = parse(text, steps, negative=negative)
    # Equal texts have equal spans, and an alternation repeats most of them at every step.
    texts = {b.text: b.spans for entry in prompt.entries for b in entry.branches}
    remembered = Remembered(tokenize)
    counted = {text: cut(spans, remembered, embeddings) for text, spans in texts.items()}
    chunks = [chunk for branch in prompt.entries[0].branches for chunk in counted[branch.text]]
    return {
        "dialect": DIALECT,
        "steps": steps,
        "prompt": text,
        "canonical": unparse(prompt),
        "schedule": [_entry(entry) for entry in prompt.entries],
        "chunks": [_chunk(chunk) for chunk in chunks],
        "adapters": [
            {"name": a.name, "text_encoder": a.text_encoder, "unet": a.unet}
            for a in prompt.adapters
        ],
        "embeddings": [each.model_dump() for each in _used(counted.values())],
        "unlearned": None if known is None else _unlearned(texts.values(), known, embeddings),
        "adjustments": [
            *prompt.adjustments,
            *_limits(prompt, [len(c) for c in counted.values()]),
            *_strange((prompt,), embeddings),
        ],
    }


def explain_generation(
    generation: Generation, known: frozenset[str] | None = None
) -> dict[str, Any]:
    """``explain`` of a request's prompt, with its negative prompt under ``negative``.

    The steps are those that really run, which for img2img are fewer.
    """
    steps = _steps(generation)
    told: dict[str, Any] = {"known": known, "embeddings": generation.embeddings or ()}
    return {
        **explain(generation.prompt, steps, **told),
        "negative": explain(generation.negative_prompt, steps, negative=True, **told),
    }


def check(generation: Generation) -> tuple[Prompt, Prompt]:
    """The prompt and the negative prompt, as the steps that run read them.

    Raises ``InvalidInput`` for what the engine would refuse, before anything is held.
    """
    steps, remembered = _steps(generation), Remembered(tokenize)
    prompts = {
        "prompt": parse(generation.prompt, steps),
        "negative_prompt": parse(generation.negative_prompt, steps, negative=True),
        **regions.parsed(generation.regions, steps),
    }
    own = generation.embeddings or ()
    check_prompts(prompts, lambda spans: len(cut(spans, remembered, own)))
    return prompts["prompt"], prompts["negative_prompt"]


def strange(generation: Generation, prompts: Sequence[Prompt]) -> list[str]:
    """What to tell of words that look like embeddings in ``generation``'s prompts, and are none."""
    return _strange(prompts, generation.embeddings or ())


def _strange(prompts: Sequence[Prompt], embeddings: Sequence[Embedding]) -> list[str]:
    branches = (b for prompt in prompts for entry in prompt.entries for b in entry.branches)
    spans = (span for branch in branches for span in branch.spans)
    return list(dict.fromkeys(strangers(spans, embeddings, tokenize)))


def _used(chunked: Iterable[Sequence[Chunk]]) -> list[Embedding]:
    tokens = (token for chunks in chunked for chunk in chunks for token in chunk.tokens)
    return list(dict.fromkeys(t.embedding for t in tokens if isinstance(t, Vector)))


def _unlearned(
    texts: Iterable[Sequence[Span]], known: frozenset[str], embeddings: Sequence[Embedding]
) -> list[str]:
    """Words that the model was never taught; the names of embeddings are none."""
    names = words(" ".join(["embedding", *(each.name for each in embeddings)]))
    return unlearned(map(_said, texts), known.union(names) if embeddings else known)


def _steps(generation: Generation) -> int:
    return max(1, generation.steps_run)


def _said(spans: Sequence[Span]) -> str:
    """A branch's text without its BREAKs."""
    return "".join(" " if span == Span.BREAK else span.text for span in spans)


def _entry(entry: Entry) -> dict[str, Any]:
    return {"until_step": entry.until_step, "branches": [_branch(b) for b in entry.branches]}


def _branch(branch: Branch) -> dict[str, Any]:
    spans = [[span.text, span.weight] for span in branch.spans]
    return {"weight": branch.weight, "text": branch.text, "spans": spans}


def _chunk(chunk: Chunk) -> list[list[Any]]:
    return [[_shown(t), weight] for t, weight in zip(chunk.tokens, chunk.weights, strict=True)]


def _shown(token: Token) -> str:
    """As in CLIP's vocabulary; of an embedding what stands in the text, in its first place."""
    if not isinstance(token, Vector):
        return _name(token)
    text = "".join(_name(each).removesuffix(_END) for each in token.named_by)
    return text and text + _END


def _name(token: int) -> str:
    return clip_tokenizer().id_to_token(token) or ""


def _limits(prompt: Prompt, counts: list[int]) -> list[str]:
    """What a request with this prompt would be refused for."""
    told = []
    if len(prompt.weights) > BRANCHES_MAX:
        told.append(
            f"{len(prompt.weights)} prompts are composed with AND; a request may have "
            f"{BRANCHES_MAX} and would be refused."
        )
    if max(counts) > CHUNKS_MAX:
        told.append(
            f"The prompt is {max(counts)} chunks of 75 tokens long; a request may have "
            f"{CHUNKS_MAX} and would be refused."
        )
    if sum(counts) > ENCODED_MAX:
        told.append(
            f"The texts of all steps are {sum(counts)} chunks of 75 tokens long together; a "
            f"request may have {ENCODED_MAX} and would be refused."
        )
    if math.isclose(sum(prompt.weights), 0.0, abs_tol=1e-9):
        told.append("The weights of the composed prompts add up to 0.")
    return told
