"""Replicas in this process, which can be made to die: ``Calls`` without Ray."""

from __future__ import annotations

import pickle

from limner.engine.batching.fake import FakeEngine
from limner.errors import EngineBroken
from limner.replicas.engine import RemoteEngine
from limner.replicas.replica import Replica
from tests.engine.batching.piped import EchoRunner
from tests.engine.factories import read_given

GONE = "The replica that drew it is gone."


def make_echo(read):
    engine = FakeEngine(read=read, max_queue=12)
    engine.fake.__class__ = EchoRunner
    engine.fake.step_s = 0.004
    return engine


class Near:
    """What passes is pickled. ``deaths``: so many streams break off at their second word."""

    def __init__(self, number=1):
        self.replicas = [Replica(make_echo) for _ in range(number)]
        self.deaths, self.drawn = 0, []

    async def draw(self, ticket, pixels):
        self.drawn.append(ticket)
        replica = self.replicas[len(self.drawn) % len(self.replicas)]
        stream, words = replica.draw("", *pickle.loads(pickle.dumps((ticket, pixels)))), 0
        try:
            async for told in stream:
                words += 1
                if self.deaths and words > 1:
                    self.deaths -= 1
                    raise EngineBroken(GONE)
                yield pickle.loads(pickle.dumps(told))
        finally:
            await stream.aclose()

    async def ask(self, name, *arguments):
        return getattr(self.replicas[0], name)(*arguments)

    async def tell(self, name, *arguments):
        return [getattr(each, name)(*arguments) for each in self.replicas]


def over(near):
    """A client of those."""
    return RemoteEngine(lambda say: near, read_given, max_queue=16)
