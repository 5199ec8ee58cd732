"""Loading by SHA-256, with small checkpoints of random weights."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limner import machine
from limner.domain.attention import Span
from limner.domain.loras import Lora
from limner.domain.params import Generation
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.request import Choice
from limner.engine.batching.ticket import Drawn, Pixels, Ticket
from limner.engine.checkpoints import probe, weights
from limner.engine.checkpoints.hosted import Hosted
from limner.engine.checkpoints.layouts import EMBEDDED
from limner.engine.checkpoints.prediction import Wish
from limner.engine.starting import Loader
from limner.errors import CheckpointError, InvalidInput
from tests.engine import checkpoint_files
from tests.engine.adapters import making
from tests.engine.checkpoints.writing import UNET, only, written
from tests.engine.factories import Collector
from tests.waiting import wait_until

CPU = {"device": "cpu", "dtype": "float32", "max_rows": 16}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three checkpoints by their SHA-256s."""
    folder = tmp_path_factory.mktemp("library")
    files = [
        checkpoint_files.write_single_file(
            folder / f"{seed}.safetensors", checkpoint_files.models(seed=seed)
        )
        for seed in range(3)
    ]
    return {hashlib.sha256(file.read_bytes()).hexdigest(): file for file in files}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def loader_of(library: dict[str, Path]) -> Loader:
    return Loader(next(iter(library.values())), find=library.get, **CPU)


def quiet(_: str) -> None:
    """Says nothing."""


@pytest.mark.slow
@pytest.mark.parametrize("max_rows", [16, None], ids=["told", "measured"])
def test_loras_of_each_model_stay_within_what_is_told(
    library: dict[str, Path], tmp_path: Path, max_rows: int | None
) -> None:
    """Of two, each larger than that, the one that was used last is left."""
    loader = Loader(
        next(iter(library.values())), find=lambda sha256: paths[sha256], loras_bytes=1,
        **{**CPU, "max_rows": max_rows},
    )  # fmt: skip
    runner, paths = loader.load(quiet), dict[str, Path]()
    unet = runner.unet.adapted.model
    for seed in range(2):
        path = tmp_path / f"{seed}.safetensors"
        making.file(path, {"unet": making.linears(unet)}, seed=seed)
        paths[hashlib.sha256(path.read_bytes()).hexdigest()] = path
    read = [runner.adapters.get(Lora(name="", sha256=sha256)).bytes for sha256 in paths]
    assert runner.adapters.stats.bytes == read[1] > 1


@pytest.mark.slow
def test_a_model_takes_as_much_as_its_headers_tell(library: dict[str, Path]) -> None:
    loader = loader_of(library)
    first = loader.load(quiet)
    for sha256 in library:
        runner = loader.load(quiet, Choice(sha256))
        assert runner.model.sha256 == sha256
        told = loader.size(Choice(sha256))
        assert 0 <= runner.bytes - told <= 77 * 8  # the positions, which no file need hold
    assert first.caches() == runner.caches(), "encoded prompts share one memory"


def test_what_is_not_there_is_told(library: dict[str, Path], tmp_path: Path) -> None:
    loader = loader_of(library)
    loader.load(quiet)
    for choice, field in ((Choice("f" * 64), "model"), (Choice("", "f" * 64), "vae")):
        for ask in (loader.size, lambda choice: loader.load(quiet, choice)):
            with pytest.raises(InvalidInput, match="ffff") as told:
                ask(choice)
            assert told.value.field == field
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"no header")
    library = {**library, "e" * 64: damaged}
    with pytest.raises(InvalidInput, match=r"damaged\.safetensors"):
        loader_of(library).size(Choice("e" * 64))


def test_the_first_is_measured_with_what_was_said_of_it(tmp_path: Path) -> None:
    """With another VAE, or sent away and asked for anew, it is what the settings made of it."""
    tensors = checkpoint_files.original(checkpoint_files.models(), torch.float16)
    whole = written(tmp_path, tensors, "whole.safetensors")
    unet = written(tmp_path, only(tensors, UNET), "unet.safetensors")
    loader = Loader(
        unet, vae=whole, wish=Wish(text_encoder=whole), find={"f" * 64: whole}.get, **CPU
    )
    alone = Loader(whole, **CPU).size(Choice())
    assert loader.size(Choice()) == loader.size(Choice("", "f" * 64)) == alone


@pytest.mark.slow
def test_the_file_alone_reads_prompts_by_itself(tmp_path: Path) -> None:
    """Beside the first, of the same file with another text encoder: prompts share a memory."""
    models = checkpoint_files.models()
    whole = checkpoint_files.write_single_file(tmp_path / "whole.safetensors", models)
    other = checkpoint_files.models(seed=7)
    other = checkpoint_files.write_single_file(tmp_path / "other.safetensors", other)
    alone = Loader(whole, **CPU).load(quiet)
    find = {alone.model.sha256: whole}.get
    loader = Loader(whole, wish=Wish(text_encoder=other), find=find, **CPU)
    first, file = loader.load(quiet), loader.load(quiet, Choice(alone.model.sha256))
    told = [runner.conditioner.encode((Span("a knight"),)) for runner in (alone, first, file)]
    assert torch.equal(told[2], told[0])
    assert not torch.equal(told[1], told[0])


@pytest.mark.slow  # the fast ones: test_hosted.py, and below that a loader asks it
def test_models_come_back_from_the_hosts_memory(
    library: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a copy on the CPU in place of one on a GPU."""
    read = weights.load
    loads: list[Any] = []
    monkeypatch.setattr(
        weights, "load", lambda path, **how: loads.append(path) or read(path, **how)
    )
    loader = loader_of(library)
    first = loader.load(quiet)
    loader.hosted = Hosted(5 * first.bytes // 2)
    (one, other), last = list(library)[:2], list(library)[2]
    del loads[:]
    for sha256 in (one, other, one, other, last, other, one):
        runner = loader.load(quiet, Choice(sha256))
        assert runner.model.sha256 == sha256
        assert loader.hosted.bytes <= loader.hosted.budget
    assert loads == [library[sha256] for sha256 in (one, other, last, one)]


def test_a_gpu_has_the_hosts_memory_beside_it(
    library: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def budget(device: str, host_bytes: int | None) -> int | None:
        on: list[str] = []
        loader = Loader(None, device="auto", dtype="float32", host_bytes=host_bytes)
        monkeypatch.setattr(probe, "choose_device", lambda _: device)
        monkeypatch.setattr(Hosted, "bring", lambda *call: on.append(call[-1]))
        loader._brought(Choice(), lambda **how: on.append(how["device"]), lambda **_: 1)
        assert on == [device]
        return None if loader.hosted is None else loader.hosted.budget

    assert budget("cuda", 7) == 7
    assert budget("cuda", 0) is None
    assert budget("cpu", 7) is None
    monkeypatch.setattr(machine, "available_memory", lambda: 100)
    assert budget("cuda", None) == 50


def test_a_file_that_is_not_what_was_named_is_not_drawn_with(library: dict[str, Path]) -> None:
    loader = loader_of({**library, "e" * 64: next(iter(library.values()))})
    with pytest.raises(CheckpointError, match=r"^0\.safetensors has changed since it was listed"):
        loader.load(quiet, Choice("e" * 64))


def test_a_stamp_tells_of_every_file_of_a_model(library: dict[str, Path], tmp_path: Path) -> None:
    file = Path(shutil.copyfile(next(iter(library.values())), tmp_path / "one.safetensors"))
    folder = Path(shutil.copytree(EMBEDDED, tmp_path / "folder"))
    loader = loader_of({"d" * 64: file, "e" * 64: folder})
    for choice, changed in (
        (Choice("d" * 64), file),
        (Choice("e" * 64), folder / "unet" / "diffusion_pytorch_model.safetensors"),
        (Choice("e" * 64, "d" * 64), file),
    ):
        before = loader.stamp(choice)
        assert loader.stamp(choice) == before != ""
        os.utime(changed, (1, len(before)))
        assert loader.stamp(choice) != before
        before = loader.stamp(choice)
        changed.rename(tmp_path / "aside")
        assert loader.stamp(choice) != before
        (tmp_path / "aside").rename(changed)
    assert loader.stamp(Choice("f" * 64)) == ""


def test_whoever_names_a_model_is_not_told_where_it_lies(
    library: dict[str, Path], tmp_path: Path
) -> None:
    gone = tmp_path / "gone.safetensors"
    loader = loader_of({**library, "e" * 64: gone})
    loader.load(quiet)
    for ask in (loader.size, lambda choice: loader.load(quiet, choice)):
        with pytest.raises((CheckpointError, InvalidInput), match=r"^gone\.safetensors does not"):
            ask(Choice("e" * 64))
    first = Loader(gone, **CPU)
    with pytest.raises(CheckpointError, match=str(gone)):  # the operator is
        first.load(quiet)


@pytest.fixture
def engine(library: dict[str, Path]) -> Iterator[ThreadEngine]:
    """With room for two of the three."""
    loader = loader_of(library)
    size = loader.load(quiet).bytes
    made = ThreadEngine(
        loader.load, size=loader.size, models_bytes=5 * size // 2, max_bytes=1 << 30
    )
    wait_until(lambda: made.status().ready)
    yield made
    made.close()


@pytest.mark.slow
def test_sixty_requests_over_three_checkpoints_are_each_drawn_as_alone(
    library: dict[str, Path], engine: ThreadEngine
) -> None:
    chance = random.Random(60)
    requests = [(n, chance.choice(list(library)), f"key-{n % 6}") for n in range(60)]
    sinks, most = {}, 0
    for n, model, key in requests:
        drawing = Generation(prompt="a knight", seed=n, steps=6, width=128, height=128)
        sinks[n] = Collector()
        engine.submit(Ticket(f"r{n}", drawing, key, model=model), sinks[n])
        most = max(most, len(engine.status().resident))
    ends = {n: sink.wait(600)[0] for n, sink in sinks.items()}
    assert most <= 2
    for n, model, _ in requests[::7]:
        end = ends[n]
        assert isinstance(end, Drawn), end
        assert end.facts.model.sha256 == model
        difference = end.pixels.astype(int) - alone(library[model], n).astype(int)
        assert np.abs(difference).max() <= 2, "another batch rounds otherwise"


def alone(file: Path, seed: int) -> Pixels:
    """The picture by an engine that has this one model."""
    engine = ThreadEngine(Loader(file, **CPU).load)
    wait_until(lambda: engine.status().ready)
    sink = Collector()
    drawing = Generation(prompt="a knight", seed=seed, steps=6, width=128, height=128)
    engine.submit(Ticket("alone", drawing, "a"), sink)
    [end] = sink.wait(600)
    engine.close()
    assert isinstance(end, Drawn)
    return end.pixels
