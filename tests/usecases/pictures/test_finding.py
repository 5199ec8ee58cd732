"""Pictures found again, sorted, taken out of sight and brought back."""

import asyncio
import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.domain.finding import folded, model_sums, source_of, words_of
from limner.domain.params import Origin, Picked, Source
from limner.engine.batching.fake import FAKE_MODEL, FakeEngine
from limner.errors import Gone, NotFound
from limner.store.finding import Marks, Wanted
from limner.usecases.pictures import gallery as rooms
from limner.usecases.pictures.gallery import Gallery
from limner.usecases.pictures.retention import Retention
from tests.store.databases import customer
from tests.usecases.services import balance, files, order, started


def seeds(found):
    return [each.picture.seed for each in found]


def styled(prompt, style):
    picks = {"art": (Picked(name=style, weight=1.0),)}
    return Origin(prompt=prompt, picks=picks)


def test_pictures_are_found_by_what_they_are(database, tmp_path):
    key, other = customer(database), customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            gallery = Gallery(generate.worker)
            await generate.run(key, order("A red Knight\nof 100% steel", seed=1))
            await generate.run(key, order("a blue mage", seed=2, width=128))
            await generate.run(
                key, order("a mage", seed=3, origin=styled("a mage", "Oil Painting"))
            )
            await generate.run(other, order("a red knight", seed=4))

            async def find(**wanted):
                return seeds(await gallery.pictures(key, Wanted(**wanted)))

            assert await find() == [3, 2, 1]
            assert await find(words=("KNIGHT", "red")) == [1]
            assert await find(words=("steel", "mage")) == []
            assert await find(words=("100%",)) == [1]
            assert await find(words=("%",)) == [1]
            assert await find(words=("_",)) == []
            assert await find(style="oil  painting") == [3]
            assert await find(style="oil") == []
            assert await find(seed=2) == await find(size=(128, 64)) == [2]
            assert await find(model="FAKE") == [3, 2, 1]
            assert await find(model="another") == []
            (middle,) = await gallery.pictures(key, Wanted(seed=2))
            moment = middle.picture.created_at
            assert await find(since=moment) == [3, 2]
            assert await find(until=moment) == [1]

    asyncio.run(story())


def test_a_model_is_found_by_its_sums_whatever_was_said_over_it(database, tmp_path):
    key, own, source = customer(database), "ab" * 32, "0123456789" * 6 + "abcd"
    said = replace(FAKE_MODEL, sha256=own, source_sha256=source, said="prediction=v")

    async def story():
        async with started(database, tmp_path, engine=FakeEngine(model=said)) as generate:
            await generate.run(key, order(seed=1))
        async with started(database, tmp_path) as generate:
            await generate.run(key, order("a face " + own, seed=2))
            gallery = Gallery(generate.worker)

            async def find(model):
                return seeds(await gallery.pictures(key, Wanted(model=model)))

            for sum in (own, source, said.stored_sha256):
                assert await find(sum) == await find(sum.upper()) == [1]
            assert await find(own[:10]) == await find(source[:10]) == [1]
            assert await find(FAKE_MODEL.sha256) == [2]
            for other in (own[:9], own[:11], own[1:11], source[1:11], "%" * 10):
                assert await find(other) == []

    asyncio.run(story())


def test_stars_and_folders(database, tmp_path):
    key, other = customer(database), customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            gallery = Gallery(generate.worker)
            drawn = [await generate.run(key, order(seed=seed)) for seed in range(3)]
            ids = [outcome.pictures[0].id for outcome in drawn]
            await gallery.mark(key, ids[:2], Marks(starred=True, folder="party"))
            await gallery.mark(key, ids[1:2], Marks(folder=""))
            assert seeds(await gallery.pictures(key, Wanted(starred=True))) == [1, 0]
            assert seeds(await gallery.pictures(key, Wanted(starred=False))) == [2]
            assert seeds(await gallery.pictures(key, Wanted(folder="party"))) == [0]
            assert seeds(await gallery.pictures(key, Wanted(folder=""))) == [2, 1]
            assert await gallery.folders(key) == {"party": 1}
            assert await gallery.folders(other) == {}
            with pytest.raises(NotFound, match=ids[2]):
                await gallery.mark(other, [ids[2]], Marks(starred=True))
            mine = (await generate.run(other, order())).pictures[0].id
            with pytest.raises(NotFound, match=ids[2]):
                await gallery.mark(other, [mine, ids[2]], Marks(starred=True))
            assert seeds(await gallery.pictures(other, Wanted(starred=True))) == []

    asyncio.run(story())


def test_what_is_removed_comes_back_or_is_deleted_later(database, tmp_path, monkeypatch):
    key = customer(database, 100)

    async def story():
        async with started(database, tmp_path) as generate:
            gallery, retention = Gallery(generate.worker), Retention(generate.worker)
            outcome = await generate.run(key, order(samples=2, key="k"))
            ids = [picture.id for picture in outcome.pictures]
            await gallery.mark(key, ids, Marks(removed=True))
            assert await gallery.pictures(key) == []
            assert len(await gallery.pictures(key, Wanted(removed=True))) == 2
            with pytest.raises(Gone):
                await generate.run(key, order(samples=2, key="k"))
            await asyncio.to_thread(retention.sweep)
            await gallery.mark(key, ids[:1], Marks(removed=False))
            assert len(await gallery.pictures(key)) == 1
            assert len(files(tmp_path)) == 2
            monkeypatch.setattr("limner.usecases.pictures.retention.UNDO_S", 0.0)
            await asyncio.to_thread(retention.sweep)
            assert await gallery.pictures(key, Wanted(removed=True)) == []
            assert len(files(tmp_path)) == 1
            kept = await generate.run(key, order(samples=2, key="k"))
            assert [picture.id for picture in kept.pictures] == ids[:1]
            await gallery.mark(key, ids[:1], Marks(removed=True))
            await asyncio.to_thread(retention.sweep)
            assert files(tmp_path) == []
            assert (await gallery.requests(key))[0].generation is None

    asyncio.run(story())
    assert balance(database, key).available_micro == 92
    assert rooms.UNDO_S == 600


def test_where_a_picture_comes_from_and_what_came_of_it(database, tmp_path):
    key, other = customer(database), customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            gallery = Gallery(generate.worker)
            first = (await generate.run(key, order(seed=1))).pictures[0]
            digest = (await gallery.receipt(key, first.id))["rgb_sha256"]
            pixels = await generate.worker.in_store(_pixels, first.png)
            assert hashlib.sha256(pixels.tobytes()).hexdigest() == digest
            source = Source(sha256=digest, strength=0.5)
            child = order(seed=2, source=source, pixels={digest: pixels})
            second = (await generate.run(key, child)).pictures[0]
            await generate.run(other, child)
            parents, children = await gallery.lineage(key, first.id)
            assert (seeds(parents), seeds(children)) == ([], [2])
            parents, children = await gallery.lineage(key, second.id)
            assert (seeds(parents), seeds(children)) == ([1], [])

    asyncio.run(story())


def _pixels(png):
    from limner import imaging

    return np.ascontiguousarray(imaging.read_image(png))


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["parameters", "prompts", "positive", "origin", "picks", "name", "source", "sha256"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["parameters", "prompts", "model"]), JSON))
def test_any_record_has_words(record):
    assert {type(words_of(record)), type(model_sums(record))} == {str}
    assert source_of(record) is None or isinstance(source_of(record), str)


@given(st.text())
def test_folding_twice_is_folding_once(text):
    assert folded(folded(text)) == folded(text)
