"""The engine is asked nothing while a transaction is open: it may be on another machine."""

import asyncio
import threading
from contextlib import contextmanager

import pytest

from limner.engine.batching.fake import FAKE_MODEL, FakeEngine
from limner.errors import InsufficientCredits
from limner.store import keys
from limner.store.db import Database
from limner.usecases.drawing import models
from limner.usecases.pictures.gallery import Gallery
from limner.usecases.pictures.replay import Replay
from tests.store.databases import customer
from tests.usecases.services import finished, order, queue_of
from tests.waiting import LONG_S

ASKED = ("submit", "watch", "abort", "status")


@pytest.fixture
def transactions(monkeypatch):
    """How many transactions are open on this thread."""
    here = threading.local()

    def counting(real):
        @contextmanager
        def opened(self, *asked_at):
            with real(self, *asked_at) as conn:
                here.open = getattr(here, "open", 0) + 1
                try:
                    yield conn
                finally:
                    here.open -= 1

        return opened

    for name in ("begin", "read"):
        monkeypatch.setattr(Database, name, counting(getattr(Database, name)))
    return lambda: getattr(here, "open", 0)


class Shy(FakeEngine):
    """Notes by what it was asked inside a transaction, and how often at all."""

    def __init__(self, transactions):
        super().__init__(step_s=0.005)
        self.inside, self.asked = [], dict.fromkeys(ASKED, 0)
        for name in ASKED:
            setattr(self, name, self._counted(transactions, name, getattr(self, name)))

    def _counted(self, transactions, name, real):
        def ask(*arguments):
            self.asked[name] += 1
            if transactions():
                self.inside.append(name)
            return real(*arguments)

        return ask


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_nothing_is_asked_of_the_engine_inside_a_transaction(database, tmp_path, transactions):
    key, poor = customer(database), customer(database, 1)

    async def story():
        engine, seen = Shy(transactions), []
        async with queue_of(database, tmp_path, engine=engine) as queue:
            generate = queue._generate
            outcome = await generate.run(key, order(key="once", samples=2, on_event=seen.append))
            assert (await generate.run(key, order(key="once", samples=2))).replayed
            with pytest.raises(InsufficientCredits):
                await generate.run(poor, order())
            queued = await queue.submit(key, order())
            await finished(queue, key, queued.job.id)
            sent, stopped = engine.asked["submit"], await queue.submit(key, order(steps=100))
            async with asyncio.timeout(LONG_S):
                while engine.asked["submit"] == sent:
                    await asyncio.sleep(0.001)
            await queue.cancel(key, stopped.job.id)
            await finished(queue, key, stopped.job.id)
            await models.give_up_forsaken(queue.worker)
            replay = Replay(generate.worker, Gallery(generate.worker))
            again = await replay.order(key, outcome.pictures[0].receipt)
            await replay.compare(key, outcome.pictures[0].receipt, await generate.run(key, again))
        assert engine.inside == []
        assert min(engine.asked.values()) > 0, "a part of the client that no test reaches"

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_such_a_question_would_be_found(database, transactions):
    engine = Shy(transactions)
    with database.begin() as conn:
        keys.listing(conn)
        assert engine.wait_ready().status().model == FAKE_MODEL
    assert set(engine.inside) == {"status"}
    engine.close()
