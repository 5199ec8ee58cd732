"""No answer is another than the recorded one, and a difference would be seen."""

import copy

import pytest

from tests.recorded import calls, recording
from tests.recorded.differing import differences
from tests.recorded.sending import send_all


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_answers_are_the_recorded_ones():
    assert recording.compare(recording.read(), send_all()) == []


def test_every_request_is_recorded_and_nothing_else():
    names = [call.name for call in (*calls.FAKE, *calls.SQUIRE)]
    assert set(recording.read()) == set(names)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("status",), 201),
        (("headers", "x-cost"), "0.00257"),
        (("headers", "x-new"), "1"),
        (("body", "pixels"), "sha256:0"),
        (("body", "receipt", "parameters", "steps"), 21),
    ],
)
def test_another_answer_is_seen(path, value):
    recorded = recording.read()["scheduler-DDIM"]
    changed = copy.deepcopy(recorded)
    *parents, last = path
    at = changed
    for parent in parents:
        at = at[parent]
    before, at[last] = repr(at[last]) if last in at else "(absent)", value
    assert list(differences(recorded, changed)) == [f"{'.'.join(path)}: {before} -> {value!r}"]


@pytest.mark.parametrize(("levels", "seen"), [(5, False), (40, True)])
def test_colours_may_differ_by_a_little(levels, seen):
    recorded = recording.read()["squire-plain"]
    changed = copy.deepcopy(recorded)
    first = int(recorded["body"]["look"][:2], 16)
    other = first + levels if first + levels < 256 else first - levels
    changed["body"]["look"] = f"{other:02x}{recorded['body']['look'][2:]}"
    assert bool(list(differences(recorded, changed))) == seen
