"""Random histories of requests and processes: the books stay right, no request is lost."""

from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from limner.errors import Aborted, EngineFault, NotFinite, QueueFull
from limner.settings import Settings
from limner.store import audit, jobs, keys, leases, ledger
from limner.store.sql import now
from limner.usecases.drawing import acceptance, settlement
from limner.usecases.drawing.orders import Priced
from tests.store.databases import customer
from tests.usecases.services import order

GRANTED, PRICE = 10_000, 6
serial = count()
ERRORS = {
    "again": EngineFault("again"),
    "hopeless": NotFinite("black"),
    "blameless": QueueFull("full"),
    "interrupted": settlement.Interrupted("stop"),
    "left": Aborted("left"),
}


@dataclass
class Expected:
    """What the model knows of one request."""

    key: keys.Key
    asynchronous: bool
    status: str
    tries: int = 0
    cost: int = 0
    lease: str | None = None


class QueueMachine(RuleBasedStateMachine):
    """``database`` is set by the test."""

    database = None

    def __init__(self):
        super().__init__()
        self.model: dict[str, Expected] = {}
        self.leases: list[str] = []

    @initialize()
    def begin(self):
        self.settings = Settings()
        self.keys = [customer(self.database, GRANTED) for _ in range(2)]
        self.leases = [self.new_lease(), self.new_lease()]

    def new_lease(self):
        with self.database.begin() as conn:
            return leases.open(conn, ttl_s=3600)

    # In order of creation, never of the random ids: a history must be the same when repeated.
    def running(self):
        return [name for name, one in self.model.items() if one.status == "PROCESSING"]

    def open(self):
        return [n for n, one in self.model.items() if one.status in ("QUEUED", "PROCESSING")]

    @rule(which=st.booleans(), lease=st.sampled_from([None, 0, 1]))
    def accept(self, which, lease):
        key, lease_id = self.keys[which], None if lease is None else self.leases[lease]
        wanted = Priced(order(samples=3, key=f"k{next(serial)}"), (PRICE // 3,))
        with self.database.begin() as conn:
            job, new = acceptance.accept(conn, self.settings, key, wanted, lease_id)
            again, second = acceptance.accept(conn, self.settings, key, wanted, lease_id)
        assert (new, second, again.id) == (True, False, job.id)
        status = "QUEUED" if lease_id is None else "PROCESSING"
        self.model[job.id] = Expected(key, lease_id is None, status, int(status != "QUEUED"))
        self.model[job.id].lease = lease_id

    @rule(lease=st.integers(0, 1))
    def claim(self, lease):
        queued = {name for name, one in self.model.items() if one.status == "QUEUED"}
        if any(self.model[name].tries > 1 for name in self.running()):
            # What was tried before runs beside nothing else that was.
            queued = {name for name in queued if not self.model[name].tries}
        with self.database.begin() as conn:
            job = jobs.claim(conn, self.leases[lease])
        if job is None:
            assert not queued
            return
        assert job.id in queued
        one = self.model[job.id]
        one.status, one.tries, one.lease = "PROCESSING", one.tries + 1, self.leases[lease]

    @precondition(lambda self: self.running())
    @rule(data=st.data(), drawn=st.integers(1, 3), mine=st.booleans())
    def complete(self, data, drawn, mine):
        name = data.draw(st.sampled_from(self.running()))
        one = self.model[name]
        lease = one.lease if mine else self.leases[one.lease == self.leases[0]]
        rows = [row(name, index) for index in range(drawn)]
        try:
            with self.database.begin() as conn:
                job = jobs.find(conn, name)
                left = settlement.complete(conn, job, lease, rows, 1.0, ())
        except settlement.Interrupted:
            assert not mine
            return
        assert mine
        one.status, one.cost, one.lease = "COMPLETED", PRICE // 3 * drawn, None
        assert left == self.balance(one.key).available_micro

    @precondition(lambda self: self.running())
    @rule(data=st.data(), why=st.sampled_from(sorted(ERRORS)), mine=st.booleans())
    def settle(self, data, why, mine):
        name = data.draw(st.sampled_from(self.running()))
        one = self.model[name]
        lease = one.lease if mine else self.leases[one.lease == self.leases[0]]
        with self.database.begin() as conn:
            settlement.settle(conn, name, lease, ERRORS[why])
        if mine:
            self.expect_settled(one, why)

    def expect_settled(self, one, why):
        one.lease = None
        if one.asynchronous and why in ("blameless", "interrupted"):
            one.status, one.tries = "QUEUED", one.tries - 1
        elif one.asynchronous and why == "again" and one.tries < settlement.TRIES_MAX:
            one.status = "QUEUED"
        else:
            one.status = "CANCELLED" if why == "left" else "FAILED"

    @precondition(lambda self: self.open())
    @rule(data=st.data())
    def cancel(self, data):
        name = data.draw(st.sampled_from(self.open()))
        with self.database.begin() as conn:
            settlement.abandon(conn, name, "CANCELLED", Aborted("cancelled"))
        self.model[name].status, self.model[name].lease = "CANCELLED", None

    @rule(which=st.integers(0, 1))
    def a_process_dies(self, which):
        dead, self.leases[which] = self.leases[which], self.new_lease()
        with self.database.begin() as conn:
            leases.close(conn, dead)
            lost = leases.dead_holds(conn, now(conn))
        for hold_id in lost:
            with self.database.begin() as conn:
                settlement.recover(conn, hold_id)
        for one in self.model.values():
            if one.lease == dead:
                retried = one.asynchronous and one.tries < settlement.TRIES_MAX
                one.status, one.lease = "QUEUED" if retried else "FAILED", None

    def balance(self, key):
        with self.database.read() as conn:
            return ledger.balance(conn, key.account_id)

    @invariant()
    def every_request_is_where_it_should_be(self):
        with self.database.read() as conn:
            found = {name: jobs.find(conn, name) for name in self.model}
        for name, one in self.model.items():
            job = found[name]
            assert (job.status, job.tries, job.cost_micro) == (one.status, one.tries, one.cost)
            assert (job.idempotency_key is None) == (one.status in ("FAILED", "CANCELLED"))

    @invariant()
    def the_money_is_where_it_should_be(self):
        for key in self.keys if self.leases else ():
            mine = [one for one in self.model.values() if one.key is key]
            held = sum(PRICE for one in mine if one.status in ("QUEUED", "PROCESSING"))
            spent = sum(one.cost for one in mine)
            assert self.balance(key) == ledger.Balance(GRANTED - spent - held, held)

    def teardown(self):
        for name in self.open():
            with self.database.begin() as conn:
                settlement.abandon(conn, name, "CANCELLED", Aborted("the end"))
        with self.database.read() as conn:
            assert audit.check(conn) == []


def row(name, index):
    return {
        "id": f"pic_{name}_{index}",
        "index": index,
        "seed": index,
        "width": 64,
        "height": 64,
        "rgb_sha256": "0" * 64,
        "receipt": {},
        "file": f"{name}/{index}",
        "bytes": 1,
        "price_micro": PRICE // 3,
    }


@pytest.mark.parametrize("examples", [5, pytest.param(300, marks=pytest.mark.slow)])
def test_random_histories(database, examples):
    machine = type("Machine", (QueueMachine,), {"database": database})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
