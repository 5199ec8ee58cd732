"""What Ray has to say in a server's process."""

import logging

import pytest

from limner.replicas import hearing


@pytest.mark.parametrize(
    ("said", "heard"),
    [("a worker died", True), (ValueError("odd"), True), ("SIGTERM handler is not set", False)],
)
def test_only_what_ray_says_of_signals_is_left_out(said, heard):
    record = logging.LogRecord("ray", logging.WARNING, "", 0, said, (), None)
    assert hearing._is_no_signal(record) is heard


def test_what_other_processes_print_is_logged(caplog):
    hearing._tell({"lines": ["one", "two"]}, sink=None)
    assert [record.message for record in caplog.records] == ["Ray says: one", "Ray says: two"]
