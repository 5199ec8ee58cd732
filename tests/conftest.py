import functools
import gc

import httpx
import pytest
import typer.main
import typer.testing
from hypothesis import HealthCheck, settings

from tests.store import compiling, hasty

# Of any machine, however busy: what is tried takes as long as it takes.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


# What is imported stays, and makes no garbage: looking for some would take a fifth of the time.
gc.disable()


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """Two processes a core: while one waits for a server or a disk, another computes.

    Slow tests compute: for these one process more than cores is enough.
    """
    cores = yield
    return 2 * cores if config.option.markexpr == "not slow" else cores + 1


def pytest_collection_modifyitems(items):
    """Slow tests have more time than the others: what takes a minute may take ten beside others."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(1200))


def pytest_collection_finish():
    """What was imported stays: the collector need not walk through all of it again and again."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def _made_once():
    """What is the same for all tests, and dear: commands, whom to trust on the internet, SQL.

    Typer reads the signatures of all commands anew at each call, a tenth of a second; every
    client of httpx reads the system's certificates, a third of that. Nothing waits for a disk.
    """
    built, trusted = functools.cache(typer.main.get_command), httpx.create_ssl_context
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", built)
        patch.setattr(typer.testing, "_get_command", built)
        patch.setattr("httpx._transports.default.create_ssl_context", functools.cache(trusted))
        with compiling.once(), hasty.writing():
            yield
