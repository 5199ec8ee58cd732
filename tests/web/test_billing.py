"""Whatever breaks: what answers say is what the ledger took, and a retry is the same and free."""

import pytest

from tests.web import planted
from tests.web.surfaces import SURFACES


def test_what_is_said_is_what_was_taken(tmp_path):
    wrong, _, struck = planted.check(tmp_path, 6, seed=6)
    assert wrong == []
    assert struck.total()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_what_is_said_is_what_was_taken_a_thousand_times(tmp_path, seed):
    """In four tests, each with time of its own: beside others a thousand may take too long."""
    wrong, answers, struck = planted.check(tmp_path, 250, seed=seed)
    assert wrong == []
    assert struck.total() > 25
    assert answers[200] > 80


def test_every_call_that_bills_is_among_them(app):
    """A call that bills takes an idempotency key."""
    described = app.openapi()["paths"]
    billing = {
        path
        for path, calls in described.items()
        for parameter in calls.get("post", {}).get("parameters", ())
        if parameter["name"] == "Idempotency-Key"
    }
    aliases = {"/v1/rpg", "/v2/rpg"}
    # Of one form with that of edges.
    kinds = ("depth", "openpose", "scribble", "softedge")
    aliases |= {f"/v{n}/sd1.5-controlnet-{kind}" for n in (1, 2) for kind in kinds}
    assert billing - aliases == {surface.path for surface in SURFACES}
