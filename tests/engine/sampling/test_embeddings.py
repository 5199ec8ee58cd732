"""Vectors in the places of words: as transformers reads them with more tokens in its table."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from limner.domain.embeddings import Embedding
from limner.domain.params import Generation
from limner.domain.prompt import Span, parse
from limner.engine.checkpoints import digests
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling.conditioning import Caches, Conditioner
from limner.engine.sampling.guidance import count_rows, encode_guidance
from limner.errors import InvalidInput

Files = dict[str, Path]


@pytest.fixture(scope="module")
def files(squire: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder, g = tmp_path_factory.mktemp("embeddings"), torch.Generator().manual_seed(4)
    table = squire.text_encoder.embeddings.token_embedding.weight
    for name, count in (("easynegative", 8), ("night", 1), ("bad-hands-5", 20)):
        drawn = torch.randn(count, table.shape[1], generator=g) * table.float().std()
        save_file({"emb_params": drawn}, folder / f"{name}.safetensors")
    save_file({"emb_params": torch.zeros(1, 64)}, folder / "narrow.safetensors")
    save_file({"emb_params": torch.full((1, 128), torch.nan)}, folder / "broken.safetensors")
    return {path.stem: path for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def known(files: Files) -> dict[str, Embedding]:
    counts = {"easynegative": 8, "bad-hands-5": 20}
    return {
        name: Embedding(name=name, sha256=digests.compute(path), vectors=counts.get(name, 1))
        for name, path in files.items()
    }


@pytest.fixture
def conditioner(squire: Checkpoint, files: Files, known: dict[str, Embedding]) -> Conditioner:
    paths = {embedding.sha256: files[name] for name, embedding in known.items()}
    return Conditioner.of(squire, Caches(1 << 20), paths.__getitem__)


@pytest.fixture(scope="module")
def oracle(squire: Checkpoint, files: Files) -> Callable[[str, int], Tensor]:
    """transformers with a token for each vector, as diffusers loads a textual inversion."""
    from safetensors.torch import load_file

    tokenizer, encoder = copy.deepcopy(squire.tokenizer), copy.deepcopy(squire.text_encoder)
    vectors = {
        n: load_file(files[n])["emb_params"] for n in ("easynegative", "night", "bad-hands-5")
    }
    more = {f"<{n}_{row}>": v for n, rows in vectors.items() for row, v in enumerate(rows)}
    tokenizer.add_tokens(list(more))
    encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        for token, vector in more.items():
            place = tokenizer.convert_tokens_to_ids(token)
            encoder.embeddings.token_embedding.weight[place] = vector

    @torch.inference_mode()
    def read(text: str, clip_skip: int = 1) -> Tensor:
        for name, rows in vectors.items():
            text = text.replace(f"@{name}", " ".join(f"<{name}_{n}>" for n in range(len(rows))))
        padded = tokenizer(text, padding="max_length", truncation=True, return_tensors="pt")
        states = encoder(padded["input_ids"], output_hidden_states=True).hidden_states
        return encoder.final_layer_norm(states[-clip_skip])[0].float()

    return read


def spans(text: str) -> tuple[Span, ...]:
    return parse(text, 20).entries[0].branches[0].spans


@pytest.mark.parametrize("clip_skip", [1, 2])
@pytest.mark.parametrize(
    "text", ["a @night sky", "@easynegative", "red, @bad-hands-5, @night, @easynegative, blue"]
)
def test_a_prompt_is_what_transformers_reads_with_more_tokens(
    conditioner: Conditioner, known: dict[str, Embedding], oracle, text: str, clip_skip: int
) -> None:
    plain = text.replace("@", "")
    expected = oracle(text, clip_skip)
    for asked in (plain, plain.upper(), text.replace("@", "embedding:")):
        found = conditioner.encode(spans(asked), clip_skip, (), tuple(known.values()))
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    words = conditioner.encode(spans(plain), clip_skip)
    assert (words - expected).abs().max() > 0.1


def test_weights_apply_and_several_chunks_are_each_whole(
    conditioner: Conditioner, known: dict[str, Embedding], oracle
) -> None:
    own = tuple(known.values())
    start = "knight " * 60
    found = conditioner.encode(spans(f"{start} bad-hands-5 sky"), 1, (), own)
    assert len(found) == 154
    assert torch.allclose(found[:77], oracle(start, 1), atol=1e-5)
    assert torch.allclose(found[77:], oracle("@bad-hands-5 sky", 1), atol=1e-5)
    plain = oracle("a @night sky", 1).double()
    weighed = plain.clone()
    weighed[2] *= 1.4
    weighed *= plain.mean() / weighed.mean()
    found = conditioner.encode(spans("a (night:1.4) sky"), 1, (), own)
    assert torch.allclose(found.double(), weighed, atol=1e-5)


def test_nothing_of_it_is_left_in_the_encoder(
    conditioner: Conditioner, squire: Checkpoint, known: dict[str, Embedding]
) -> None:
    before = {name: tensor.clone() for name, tensor in squire.text_encoder.state_dict().items()}
    first = conditioner.encode(spans("a night sky"))
    conditioner.encode(spans("a night sky"), 1, (), tuple(known.values()))
    fresh = Conditioner.of(squire, Caches(0))
    assert torch.equal(fresh.encode(spans("a night sky")), first)
    after = squire.text_encoder.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_threads_put_in_their_own(
    conditioner: Conditioner, squire: Checkpoint, known: dict[str, Embedding], files: Files
) -> None:
    asked = [
        (spans(f"a {name} {number} sky"), 1, (), (known[name],))
        for number in range(12)
        for name in ("night", "easynegative")
    ]
    alone = [conditioner.encode(*each) for each in asked]
    paths = {embedding.sha256: files[name] for name, embedding in known.items()}
    forgetful = Conditioner.of(squire, Caches(0), paths.__getitem__)
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(lambda each: forgetful.encode(*each), asked))
    assert all(torch.equal(a, b) for a, b in zip(alone, beside, strict=True))


def test_the_file_is_part_of_the_key(
    conditioner: Conditioner, known: dict[str, Embedding], files: Files
) -> None:
    own, other = known["night"], known["easynegative"]
    alias = Embedding(name="night", sha256=other.sha256, vectors=8)
    first, second = (conditioner.encode(spans("night"), 1, (), (e,)) for e in (own, alias))
    assert not torch.equal(first, second)
    assert torch.equal(second, conditioner.encode(spans("easynegative"), 1, (), (other,)))


def test_guidance_reads_them_in_both_prompts(
    conditioner: Conditioner, known: dict[str, Embedding], oracle
) -> None:
    g = Generation(
        prompt="a knight",
        negative_prompt="bad-hands-5, " + "easynegative, " * 7,
        seed=0,
        embeddings=tuple(known.values()),
    )
    assert count_rows(g, conditioner)[1] == 2
    guidance = encode_guidance(g, torch.ones(1).numpy(), 2, conditioner)
    negative, positive = guidance.at(0).contexts
    assert torch.allclose(positive, oracle("a knight", 1), atol=1e-5)
    assert torch.allclose(
        negative[:77], oracle("@bad-hands-5, " + "@easynegative, " * 6, 1), atol=1e-5
    )
    assert torch.allclose(negative[77:], oracle("@easynegative,", 1), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("narrow", "the embedding 'narrow' has vectors of 64 numbers; this model reads 128"),
        ("broken", "broken.safetensors: 'emb_params' holds values that are not finite"),
    ],
)
def test_what_does_not_fit_is_told(
    conditioner: Conditioner, known: dict[str, Embedding], name: str, sentence: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        conditioner.check((known[name],))
    assert sentence in str(caught.value)
    assert caught.value.field == "prompt"


def test_a_file_that_is_gone_or_another_is_told(
    squire: Checkpoint, tmp_path: Path, known: dict[str, Embedding], files: Files
) -> None:
    there = Conditioner.of(squire, Caches(1 << 20), lambda _: tmp_path / "gone.safetensors")
    with pytest.raises(InvalidInput, match=r"'night': .*gone\.safetensors does not exist"):
        there.check((known["night"],))
    there = Conditioner.of(squire, Caches(1 << 20), lambda _: files["easynegative"])
    with pytest.raises(InvalidInput, match="'night' has changed since it was chosen"):
        there.check((known["night"],))
    with pytest.raises(InvalidInput, match="'night': this engine knows no file"):
        Conditioner.of(squire, Caches(1 << 20)).check((known["night"],))
