"""Whatever breaks: what answers say is what the ledger took, and a retry is the same and free."""

import pytest

from tests.web import planted
from tests.web.surfaces import SURFACES


@pytest.mark.timeout(1200)  # a thousand take minutes beside other tests
@pytest.mark.parametrize(
    "number", [6, *(pytest.param(n, marks=pytest.mark.slow) for n in (len(SURFACES), 1000))]
)
def test_what_is_said_is_what_was_taken(tmp_path, number):
    wrong, answers, struck = planted.check(tmp_path, number, seed=number)
    assert wrong == []
    assert sum(struck.values()) > number / 10
    assert number < 1000 or answers[200] > number / 3, "of few runs chance may fail most"


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
