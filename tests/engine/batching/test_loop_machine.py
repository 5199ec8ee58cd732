"""Random histories of the loop: submitted, aborted, prepared and stepped in any order.

Whatever happens, every image ends in exactly one ``Drawn`` (of its own pixels) or ``Failed``, and
the bytes in flight return to zero. The loop is driven by hand: its thread never gets a runner.
"""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from limner.engine.batching.fake import fake_pixels
from limner.engine.batching.image import Image
from limner.engine.batching.ticket import Drawn, Failed, Progress, Started
from limner.errors import QueueFull
from tests.engine.batching.by_hand import EngineByHand
from tests.engine.batching.phased import PhasedRunner
from tests.engine.factories import make_request, submit

MAX_BYTES, MAX_QUEUE, EACH = 3000, 12, 1024
GOOD = ("a", "b", "!sink", "!phases")
PROMPTS = (*GOOD, "!fault", "!black", "!prepare", "!phases !again", "!phases !between")


class Runner(PhasedRunner):
    def prepare(self, image: Image) -> None:
        if "!prepare" in image.request.generation.prompt:
            raise RuntimeError("a planted fault in preparing")
        super().prepare(image)


class Machine(RuleBasedStateMachine):
    requests = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        runner = Runner(max_rows=6)
        self.engine = EngineByHand(runner, max_queue=MAX_QUEUE, max_bytes=MAX_BYTES)
        self.known: dict = {}

    @rule(
        target=requests,
        owner=st.sampled_from("abc"),
        prompt=st.sampled_from(PROMPTS),
        samples=st.integers(1, 3),
        steps=st.integers(1, 5),
        side=st.sampled_from((64, 128, 512)),
    )
    def submit(self, owner, prompt, samples, steps, side):
        events: list = []

        def sink(event):
            events.append(event)
            if prompt == "!sink":
                raise RuntimeError("a planted fault in the sink")

        more = {"samples": samples, "steps": steps, "scheduler": "Euler", "seed": len(self.known)}
        request = make_request(prompt, owner=owner, sink=sink, width=side, height=side, **more)
        before = self.engine._state.open_images
        try:
            submit(self.engine, request)
        except QueueFull:
            assert before + samples > MAX_QUEUE
            return multiple()
        self.known[request.id] = (request, events)
        return request.id

    @rule(request_id=requests)
    def abort(self, request_id):
        self.engine.abort(request_id)

    @rule()
    def read(self):
        self.engine.read()

    @rule()
    def prepare(self):
        self.engine.prepare()

    @rule(times=st.integers(1, 4))
    def step(self, times):
        for _ in range(times):
            self.engine.step()

    @invariant()
    def memory_is_bounded_and_counted(self):
        scheduler = self.engine._scheduler
        flying = [image for image in scheduler.all() if image in scheduler._running]
        flying += scheduler._preparing
        assert scheduler.bytes == EACH * len(flying) <= MAX_BYTES

    @invariant()
    def open_images_are_those_without_an_end(self):
        total = sum(request.generation.samples for request, _ in self.known.values())
        ended = sum(len(ends_of(events)) for _, events in self.known.values())
        assert self.engine._state.open_images == total - ended

    @invariant()
    def each_image_tells_its_story_in_order(self):
        for request, events in self.known.values():
            for index in range(request.generation.samples):
                expect_story(request, [event for event in events if event.index == index])

    def teardown(self):
        for _ in range(2000):
            if not self.engine.turn():
                break
        for request, events in self.known.values():
            indices = sorted(event.index for event in ends_of(events))
            assert indices == list(range(request.generation.samples))
        assert self.engine._scheduler.bytes == 0
        assert self.engine._scheduler.all() == []
        self.engine.let_go()


def ends_of(events):
    return [event for event in events if isinstance(event, Drawn | Failed)]


def expect_story(request, events):
    kinds = [type(event) for event in events]
    assert kinds.count(Started) <= 1
    assert kinds.count(Drawn) + kinds.count(Failed) <= 1
    if Progress in kinds:
        assert kinds[0] is Started
        steps = [event.evaluation for event in events if isinstance(event, Progress)]
        assert steps == list(range(1, len(steps) + 1))
    for event in events[:-1]:
        assert not isinstance(event, Drawn | Failed)
    if kinds and kinds[-1] is Drawn:
        g = request.generation
        assert g.prompt in GOOD or (g.prompt == "!fault" and g.steps < 3)
        expected = fake_pixels(g.prompt, g.seed + events[-1].index, g.width, g.height)
        np.testing.assert_array_equal(events[-1].pixels, expected)


Machine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestMachine = Machine.TestCase
