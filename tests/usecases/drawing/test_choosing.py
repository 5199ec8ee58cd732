"""A request chooses its model among the engine's own and those of a library."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from limner.domain.embeddings import Embedding
from limner.engine.batching.fake import FAKE_MODEL, FakeEngine
from limner.engine.checkpoints import digests
from limner.engine.checkpoints.names import TEXT, VAE
from limner.errors import InvalidInput, LicenceNotAccepted, ModelNotAllowed, UnknownModel
from limner.models import facts
from limner.models.listing import Library
from limner.store import jobs, keys
from limner.usecases.drawing.choosing import Models
from limner.usecases.drawing.generate import Generate
from tests.models import chosen, files
from tests.store.databases import customer
from tests.usecases.drawing.test_embeddings import written
from tests.usecases.services import balance, finished, order, queue_of

SUM = "0" * 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return chosen.write(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def library(folder):
    return Library(None, [folder])


@pytest.fixture
def models(library):
    return Models(lambda: FAKE_MODEL, library=library)


def test_nothing_named_is_the_engines_own(models):
    assert models.choose().card is FAKE_MODEL
    assert (models.choose().model, models.choose().vae) == ("", "")
    assert Models(lambda: None).choose() is None


@pytest.mark.parametrize("name", ["fake", SUM])
def test_the_engines_own_has_a_name_and_a_sum(models, name):
    assert models.choose(name).card is FAKE_MODEL
    assert models.choose(name).model == ""


def test_a_name_or_a_sum_finds_a_model_of_the_library(models, folder):
    info = chosen.info(folder / "knight.safetensors")
    for name in ("knight", "knight.safetensors", info.sha256):
        found = models.choose(name)
        assert (found.model, found.vae) == (info.stored_sha256, "")
        assert (found.card.name, found.card.prediction) == ("knight", "v-prediction")
        assert found.card.licence_needs_acceptance
        assert found.pair == (info.stored_sha256, "")


def test_a_vae_of_the_library_replaces_the_models_own(models, folder):
    info = chosen.info(folder / "knight.safetensors", folder / "soft.safetensors")
    found = models.choose("knight", "soft")
    assert (found.model, found.vae) == (info.stored_sha256, info.vae_sha256)
    assert found.card.conversions[-1] == "VAE replaced by soft.safetensors"
    own = models.choose("", "soft")
    assert own.pair == (SUM, info.vae_sha256)
    assert (own.model, own.vae) == ("", info.vae_sha256)
    assert own.card.name == "fake"


@pytest.mark.parametrize(
    ("named", "kind", "says"),
    [
        (("knigt",), UnknownModel, "which is not in the library; did you mean 'knight'?"),
        (("fox",), InvalidInput, "model is 'fox', which cannot be used as one. It is a LoRA"),
        (("soft",), InvalidInput, "model is 'soft', which cannot be used as one. It is a VAE"),
        (("knight", "sharp"), UnknownModel, "vae is 'sharp', which is not in the library"),
        (("knight", "fox"), InvalidInput, "vae is 'fox', which cannot be used as one"),
    ],
)  # fmt: skip
def test_what_cannot_draw_is_refused_in_its_own_words(models, named, kind, says):
    with pytest.raises(InvalidInput) as refused:
        models.choose(*named)
    assert type(refused.value) is kind
    assert says in str(refused.value)


def test_two_of_a_name_are_told_with_their_places(folder, tmp_path):
    shutil.copyfile(folder / "knight.safetensors", tmp_path / "knight.safetensors")  # predicts eps
    models = Models(lambda: FAKE_MODEL, library=Library(None, [folder, tmp_path]))
    with pytest.raises(InvalidInput) as refused:
        models.choose("knight")
    assert f"{folder.name}:knight.safetensors and {tmp_path.name}:knight.saf" in str(refused.value)


def test_the_engines_own_and_a_model_of_its_name_are_told_apart(library):
    own = replace(FAKE_MODEL, name="knight")
    with pytest.raises(InvalidInput, match="may be the server's own knight or"):
        Models(lambda: own, library=library).choose("knight")


def test_a_pickle_is_to_be_imported_first(folder, tmp_path):
    files.embedding(tmp_path / "other.safetensors")
    torch.save(load_file(folder / "knight.safetensors"), tmp_path / "old.ckpt")
    with pytest.raises(InvalidInput, match="It is a pickle; `limner models import`"):
        Models(lambda: FAKE_MODEL, library=Library(None, [tmp_path])).choose("old")


def test_the_engines_own_may_be_a_pickle_of_the_library(folder, tmp_path):
    path = tmp_path / "old.ckpt"
    torch.save(load_file(folder / "knight.safetensors"), path)
    own = replace(FAKE_MODEL, name="old", path=str(path), sha256=digests.sha256(path))
    models = Models(lambda: own, library=Library(None, [tmp_path]))
    for name in ("old", own.sha256, own.short_hash):
        assert models.choose(name).card is own


def test_an_import_of_the_engines_own_takes_no_name_from_it(folder, tmp_path):
    path = tmp_path / "models" / "old" / "old.safetensors"
    path.parent.mkdir(parents=True)
    save_file(load_file(folder / "knight.safetensors"), path, {"source_sha256": SUM})
    models = Models(lambda: replace(FAKE_MODEL, name="old"), library=Library(tmp_path))
    for name in ("old", SUM, SUM[:10]):
        assert models.choose(name).model == ""
    assert models.choose("imported:old/old.safetensors").model == digests.sha256(path)


def test_a_lora_takes_no_name_from_the_engines_own(library):
    own = replace(FAKE_MODEL, name="fox")
    assert Models(lambda: own, library=library).choose("fox").card is own


def test_what_the_engine_cannot_hold_is_refused(library, folder):
    asked = []

    def expect(model="", vae=""):
        asked.append((model, vae))
        raise InvalidInput("model", "too large")

    models = Models(lambda: FAKE_MODEL, expect, library)
    assert models.choose().card is FAKE_MODEL
    with pytest.raises(InvalidInput, match="too large"):
        models.choose("knight")
    assert asked == [(chosen.info(folder / "knight.safetensors").stored_sha256, "")]


@pytest.fixture
def twins(folder, tmp_path):
    """Three equal files: a ``.yaml`` beside one says that it predicts v, the others lack VAEs.

    Beside one of those lies a pickled one. All sums are known.
    """
    whole = load_file(folder / "knight.safetensors")
    bare = {name: each for name, each in whole.items() if not name.startswith(VAE)}
    for name in ("velocity", "noise", "clear"):
        save_file(bare, tmp_path / f"{name}.safetensors")
    (tmp_path / "velocity.yaml").write_text("parameterization: v", encoding="utf-8")
    vae = {name: each for name, each in whole.items() if name.startswith(VAE)}
    torch.save({"state_dict": vae}, tmp_path / "clear.vae.pt")
    shutil.copyfile(tmp_path / "clear.vae.pt", tmp_path / "velocity.vae.pt")
    shutil.copyfile(folder / "soft.safetensors", tmp_path / "soft.safetensors")
    library = Library(None, [tmp_path])
    for entry in library.entries():
        library.identify(entry)
    return library


def test_equal_files_are_drawn_as_what_lies_beside_them_says(twins):
    models = Models(lambda: FAKE_MODEL, library=twins)
    clear, velocity = models.choose("clear"), models.choose("velocity")
    noise = models.choose("noise", "soft")
    assert (clear.card.prediction, velocity.card.prediction) == ("epsilon", "v-prediction")
    assert clear.model == noise.model != velocity.model
    assert clear.vae == velocity.vae == clear.card.vae_sha256 != noise.vae
    assert clear.card.conversions == ("VAE taken from clear.vae.pt, which lies beside",)
    with pytest.raises(InvalidInput, match="model is 'noise', which cannot draw alone"):
        models.choose("noise")
    for each in (clear, velocity):
        assert models.file_sha256(each.card.stored_sha256) == each.card.sha256
        again = models.recall(*each.pair)
        assert (again.pair, again.card.prediction) == (each.pair, each.card.prediction)
        # What an engine is told finds a file that is read so.
        assert facts.read(found_at(twins, twins.file(each.model))).said == each.card.said
        assert twins.file(each.vae).suffix == ".pt"


def found_at(library, file):
    return next(entry.found for entry in library.entries() if entry.file == file)


def test_equal_files_of_few_steps_and_of_many_are_not_one(folder, tmp_path):
    for name in ("many", "few"):
        shutil.copyfile(folder / "knight.safetensors", tmp_path / f"{name}.safetensors")
    files.note(tmp_path / "few.json", {"few steps": "lcm"})
    models = Models(lambda: FAKE_MODEL, library=Library(None, [tmp_path]))
    assert (models.choose("few").few_steps, models.choose("many").few_steps) == ("lcm", None)
    with pytest.raises(InvalidInput, match="equal files, read otherwise; name one of these"):
        models.choose(models.choose("few").card.sha256)


def test_a_list_of_models_names_one_reading_of_equal_files(twins):
    models = Models(lambda: FAKE_MODEL, library=twins)
    models.permit(("velocity",), models.choose("velocity"))
    with pytest.raises(ModelNotAllowed):
        models.permit(("velocity",), models.choose("clear"))


def test_what_the_model_lacks_is_not_the_vaes_fault(folder, tmp_path):
    whole = load_file(folder / "knight.safetensors")
    rest = {name: each for name, each in whole.items() if not name.startswith(TEXT)}
    save_file(rest, tmp_path / "rest.safetensors")
    shutil.copyfile(folder / "soft.safetensors", tmp_path / "soft.safetensors")
    with pytest.raises(InvalidInput, match=r"model is 'rest', .* holds no text encoder"):
        Models(lambda: FAKE_MODEL, library=Library(None, [tmp_path])).choose("rest", "soft")


def test_a_sum_names_no_other_file_that_lies_there_since_it_was_listed(folder, tmp_path):
    """A list is kept for a moment, and meanwhile files are put in the place of others."""
    file = tmp_path / "one.safetensors"
    shutil.copyfile(folder / "knight.safetensors", file)
    models = Models(lambda: FAKE_MODEL, library=Library(None, [tmp_path], fresh_s=60.0))
    before = models.choose("one").card.sha256
    tensors = load_file(file)
    save_file(tensors, file, {"modelspec.title": "another"})
    with pytest.raises(UnknownModel, match="which is not in the library"):
        models.choose(before)
    assert models.choose("one").card.sha256 != before


def test_a_vae_beside_that_is_no_good_is_the_models_fault(twins, tmp_path):
    library = Library(None, [tmp_path], fresh_s=60.0)
    assert library.find("clear").facts.vae_beside == "clear.vae.pt"
    torch.save({"emb_params": torch.ones(2, 768)}, tmp_path / "clear.vae.pt")
    with pytest.raises(InvalidInput, match=r"model is 'clear', .*: clear\.vae\.pt holds no VAE"):
        Models(lambda: FAKE_MODEL, library=library).choose("clear")


def test_a_sum_of_files_that_are_read_otherwise_names_none(twins):
    models = Models(lambda: FAKE_MODEL, library=twins)
    sha256 = models.choose("clear").card.sha256
    with pytest.raises(InvalidInput) as refused:
        models.choose(sha256)
    assert str(refused.value).startswith(f"model is {sha256!r}, which may be ")
    assert "clear.safetensors and " in str(refused.value)
    assert "velocity.safetensors; equal files, read otherwise; name one" in str(refused.value)


def test_a_stored_choice_is_found_again_or_not_here(models, folder):
    for found in (models.choose("knight"), models.choose("knight", "soft"), models.choose()):
        again = models.recall(*found.pair)
        assert (again.model, again.vae, again.pair) == (found.model, found.vae, found.pair)
    own = replace(FAKE_MODEL, vae_sha256="3" * 64)
    assert Models(lambda: own).recall(SUM, "") is None
    assert Models(lambda: own).recall(SUM, None).card is own
    assert Models(lambda: own).recall(None, None).card is own
    assert models.recall("9" * 64, "") is None
    assert models.recall(SUM, "9" * 64) is None
    assert models.recall("9" * 64, None) is None
    assert models.served([(SUM, ""), ("9" * 64, "")]) == [(SUM, "")]


def test_a_choice_holds_what_was_said_over_the_files(library, folder):
    """Who restarts the server without ``--prediction v`` does not draw what waits otherwise."""
    plain = chosen.info(folder / "knight.safetensors")
    own = replace(plain, prediction="epsilon", said="prediction=epsilon")
    wished = Models(lambda: own, library=library)
    found = wished.choose("knight")
    assert (found.card, found.model) == (own, "")
    assert found.pair != (plain.sha256, "")
    assert wished.recall(*found.pair).card is own
    assert Models(lambda: plain, library=library).recall(*found.pair) is None
    # What was stored of the file as it is finds that in the library, a model of its own.
    told = wished.recall(plain.stored_sha256, "")
    assert (told.model, told.card.prediction) == (plain.stored_sha256, "v-prediction")
    record = {"model": {"sha256": plain.sha256}}  # the rest of a receipt is compared later
    assert wished.of_receipt(record).card is own
    assert "said" not in own.as_dict()


def test_another_vae_for_a_model_with_something_said_over_it_is_found_again(library, folder):
    own = replace(chosen.info(folder / "knight.safetensors"), prediction="epsilon", said="so")
    models = Models(lambda: own, library=library)
    found = models.choose("", "soft")
    again = models.recall(*found.pair)
    assert (again.pair, again.model, again.card) == (found.pair, "", found.card)
    assert Models(lambda: FAKE_MODEL, library=library).recall(*found.pair) is None


def test_a_receipt_of_the_file_alone_is_drawn_with_that(library, folder):
    plain = chosen.info(folder / "knight.safetensors")
    own = replace(plain, prediction="epsilon", said="prediction=epsilon")
    models = Models(lambda: own, library=library)
    models.choose("knight")  # its sum is known from now on
    vae = models.choose("", "soft").vae
    for other in (None, vae):
        named = {"sha256": plain.sha256, "vae_sha256": other}
        as_file = models.of_receipt({"model": named | {"prediction": "v-prediction"}})
        assert (as_file.model, as_file.vae) == (plain.stored_sha256, other or "")
        assert as_file.card.prediction == "v-prediction"
        wished = models.of_receipt({"model": named})
        assert (wished.model, wished.vae) == ("", other or "")
        assert wished.card.prediction == "epsilon"
        # Nothing here predicts so: told by the server's own, in words.
        neither = models.of_receipt({"model": named | {"zero_snr": True}})
        assert (neither.model, neither.vae) == ("", other or "")


def test_a_key_may_draw_with_the_models_of_its_list(models):
    knight, own = models.choose("knight"), models.choose()
    for allowed in ((), ("knight",), ("x", knight.model), ("knight.safetensors",)):
        models.permit(allowed, knight)
    models.permit(("fake",), own)
    with pytest.raises(ModelNotAllowed, match="may not draw with fake; it may with knight, x"):
        models.permit(("knight", "x"), own)


def both(folder):
    """An engine with two models, of which the second is in the library's folder."""
    return FakeEngine(others=[chosen.info(folder / "knight.safetensors")])


def accepting(database, key, *licences):
    with database.begin() as conn:
        for licence in licences:
            keys.accept_licence(conn, key.id, licence, "2022-08-22")
    return key


def test_a_request_is_drawn_with_what_it_chose(database, tmp_path, folder, library):
    key = accepting(database, customer(database), "creativeml-openrail-m")

    async def story():
        chosen = {"engine": both(folder), "library": library}
        async with queue_of(database, tmp_path, **chosen) as queue:
            choice = await Generate(queue.worker).choose("knight")
            sent = await queue.submit(key, replace(order(), choice=choice))
            done = await finished(queue, key, sent.job.id)
            assert done.job.model == "knight"
            assert (done.job.model_sha256, done.job.vae_sha256) == choice.pair
            return done.pictures[0].receipt

    receipt = asyncio.run(story())
    assert (receipt["model"]["name"], receipt["model"]["prediction"]) == ("knight", "v-prediction")


def test_only_who_has_the_file_claims_it(database, tmp_path, folder, library):
    key = accepting(database, customer(database), "creativeml-openrail-m")

    async def accepted():
        chosen = {"engine": both(folder), "library": library, "works": False, "empty": False}
        async with queue_of(database, tmp_path, **chosen) as queue:
            choice = await Generate(queue.worker).choose("knight")
            return (await queue.submit(key, replace(order(), choice=choice))).job.id

    async def passed_over(request_id):
        async with queue_of(database, tmp_path, works=False, empty=False) as queue:
            assert await queue._claim() is None
            assert (await queue.status(key, request_id)).job.status == "QUEUED"

    async def drawn(request_id):
        async with queue_of(database, tmp_path, engine=both(folder), library=library) as queue:
            return (await finished(queue, key, request_id)).job

    request_id = asyncio.run(accepted())
    asyncio.run(passed_over(request_id))
    assert asyncio.run(drawn(request_id)).status == "COMPLETED"


def test_licences_and_lists_are_asked_of_the_chosen_model_before_the_hold(
    database, tmp_path, folder, library
):
    key = customer(database, 100)

    async def story():
        async with queue_of(database, tmp_path, engine=both(folder), library=library) as queue:
            choice = await Generate(queue.worker).choose("knight")
            chose = replace(order(), choice=choice)
            with pytest.raises(LicenceNotAccepted, match="The model knight is under"):
                await queue.submit(key, chose)
            accepting(database, key, "creativeml-openrail-m")
            with pytest.raises(ModelNotAllowed):
                await queue.submit(replace(key, models=("fake",)), chose)
            zero = replace(choice, card=replace(choice.card, zero_snr=True))
            lines = order(scheduler="PNDM").lines
            with pytest.raises(InvalidInput, match="zero terminal SNR"):
                await queue.submit(key, replace(chose, choice=zero, lines=lines))

    asyncio.run(story())
    assert balance(database, key).available_micro == 100
    with database.read() as conn:
        assert jobs.listing(conn, key.account_id, before=float("inf"), number=9) == []


def test_a_list_that_came_later_is_kept_when_drawing(database, tmp_path):
    key = customer(database, 100)

    async def accepted():
        async with queue_of(database, tmp_path, works=False, empty=False) as queue:
            return (await queue.submit(key, order())).job.id

    async def drawn(request_id):
        async with queue_of(database, tmp_path) as queue:
            return (await finished(queue, key, request_id)).job

    request_id = asyncio.run(accepted())
    with database.begin() as conn:
        keys.limit(conn, key.id, models=["another"])
    job = asyncio.run(drawn(request_id))
    assert (job.status, job.error_kind) == ("FAILED", "ModelNotAllowed")
    assert balance(database, key).available_micro == 100


@pytest.mark.parametrize(
    ("allowed", "ended"),
    [("another", ("FAILED", "ModelNotAllowed")), ("badhands", ("COMPLETED", None))],
)
def test_a_list_of_adapters_that_came_later_is_kept_when_drawing(
    database, tmp_path, allowed, ended
):
    """Its file is told by its sum, which is made where it is not known yet."""
    sha256 = written(tmp_path / "models" / "badhands.safetensors")
    key, word = customer(database, 100), Embedding(name="any", sha256=sha256, vectors=2)
    library = Library(None, [tmp_path / "models"])

    async def story():
        async with queue_of(database, tmp_path, works=False, empty=False) as queue:
            accepted = await queue.submit(key, order(embeddings=(word,)))
        with database.begin() as conn:
            keys.limit(conn, key.id, adapters=[allowed])
        async with queue_of(database, tmp_path, library=library) as queue:
            return (await finished(queue, key, accepted.job.id)).job

    job = asyncio.run(story())
    assert (job.status, job.error_kind) == ended


def test_a_model_without_a_vae_draws_with_one_that_is_named(folder, tmp_path):
    files.without_vae(folder / "knight.safetensors", tmp_path / "bare.safetensors")
    models = Models(lambda: FAKE_MODEL, library=Library(None, [folder, tmp_path]))
    with pytest.raises(InvalidInput, match=r"model is 'bare', .* It has no VAE .* `vae`") as told:
        models.choose("bare")
    assert told.value.field == "model"
    found = models.choose("bare", "soft")
    assert (found.card.name, found.card.vae) == ("bare", "soft.safetensors")
    assert models.recall(*found.pair).card == found.card
    assert models.nameable() == ["squire", "knight"]


def test_names_that_a_list_of_models_allows(models, folder):
    """As ``permit`` decides, though no model is read for it."""
    knight = chosen.info(folder / "knight.safetensors")
    assert models.nameable() == ["squire", "knight"]
    assert models.allows((), "knight")
    models.choose("knight")  # its sum is known then
    for name in ("knight", "knight.safetensors", knight.sha256, knight.sha256[:10]):
        assert models.nameable([name]) == ["knight"]
        assert (models.allows([name], "knight"), models.allows([name])) == (True, False)
        models.permit([name], models.choose("knight"))
    for name in ("fake", SUM):
        assert models.nameable([name]) == []
        assert (models.allows([name]), models.allows([name], "knight")) == (True, False)
    assert models.nameable(["gone", "squire"]) == ["squire"]
    assert Models(lambda: None).nameable() == []
    assert Models(lambda: None).allows(["x"])  # it is not known yet whether that is its own
