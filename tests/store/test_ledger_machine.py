"""Random histories against a model of three lines: nothing is lost, whatever the order."""

from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from limner.errors import InsufficientCredits, LedgerError
from limner.store import leases, ledger

AMOUNTS = st.integers(1, 50)
serial = count()


class LedgerMachine(RuleBasedStateMachine):
    """``database`` is set by the test; ``model`` maps accounts to (available, held)."""

    database = None
    open_holds = Bundle("open_holds")
    closed_holds = Bundle("closed_holds")
    grants = Bundle("grants")

    def __init__(self):
        super().__init__()
        self.model = {}
        self.amounts = {}

    @initialize()
    def begin(self):
        with self.database.begin() as conn:
            self.lease = leases.open(conn, ttl_s=600)
            for name in "ab":
                self.model[ledger.create_account(conn, name)] = [0, 0]
        self.accounts = list(self.model)

    @rule(target=grants, which=st.booleans(), amount=AMOUNTS)
    def grant(self, which, amount):
        account, name = self.accounts[which], f"grant_{next(serial)}"
        with self.database.begin() as conn:
            ledger.grant(conn, account, amount, id=name)
        self.model[account][0] += amount
        return account, amount, name

    @rule(grant=grants)
    def grant_again(self, grant):
        account, amount, name = grant
        with self.database.begin() as conn:
            ledger.grant(conn, account, amount, id=name)

    @rule(which=st.booleans(), amount=AMOUNTS)
    def withdraw(self, which, amount):
        account = self.accounts[which]
        enough = self.model[account][0] >= amount
        try:
            with self.database.begin() as conn:
                ledger.withdraw(conn, account, amount, id=f"withdraw_{next(serial)}")
        except InsufficientCredits:
            assert not enough
        else:
            assert enough
            self.model[account][0] -= amount

    @rule(target=open_holds, which=st.booleans(), amount=AMOUNTS)
    def hold(self, which, amount):
        account, name = self.accounts[which], f"hold_{next(serial)}"
        enough = self.model[account][0] >= amount
        try:
            with self.database.begin() as conn:
                ledger.hold(conn, account, amount, id=name, lease_id=self.lease)
        except InsufficientCredits:
            assert not enough
            return None
        assert enough
        self.model[account][0] -= amount
        self.model[account][1] += amount
        return name, account, amount

    @rule(target=closed_holds, hold=consumes(open_holds), share=st.floats(0.01, 1.5))
    def capture(self, hold, share):
        if hold is None:
            return None
        name, account, amount = hold
        taken = max(1, int(amount * share))
        try:
            with self.database.begin() as conn:
                ledger.capture(conn, name, taken, lease_id=self.lease)
        except LedgerError:
            assert taken > amount
            taken = 0
            with self.database.begin() as conn:
                ledger.release(conn, name)
        self.model[account][1] -= amount
        self.model[account][0] += amount - taken
        return name

    @rule(
        target=closed_holds,
        hold=consumes(open_holds),
        outcome=st.sampled_from(["release", "expire"]),
    )
    def release(self, hold, outcome):
        if hold is None:
            return None
        name, account, amount = hold
        with self.database.begin() as conn:
            ledger.release(conn, name, outcome)
        self.model[account][1] -= amount
        self.model[account][0] += amount
        return name

    @rule(name=closed_holds, kind=st.sampled_from(["capture", "release", "expire"]))
    def resolve_again(self, name, kind):
        if name is None:
            return
        try:
            with self.database.begin() as conn:
                if kind == "capture":
                    ledger.capture(conn, name, 10_000)
                else:
                    ledger.release(conn, name, kind)
        except LedgerError:
            pass

    @invariant()
    def the_books_are_right(self):
        with self.database.read() as conn:
            for account, (available, held) in self.model.items():
                assert ledger.balance(conn, account) == ledger.Balance(available, held)

    def teardown(self):
        with self.database.read() as conn:
            # These holds belong to no request, which an audit calls lost.
            assert [fault for fault in ledger.check(conn) if fault.kind != "lost hold"] == []
            assert sum(ledger.totals(conn).values()) == 0


@pytest.mark.parametrize("examples", [10, pytest.param(400, marks=pytest.mark.slow)])
def test_random_histories(database, examples):
    machine = type("Machine", (LedgerMachine,), {"database": database})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
