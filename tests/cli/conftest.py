import logging

import pytest

from limner import logs


@pytest.fixture(autouse=True)
def logging_as_before():
    """A command run in this process may have set up logging, for good as it believed."""
    root, ours = logging.getLogger(), logging.getLogger("limner")
    levels = root.level, ours.level
    yield
    for handler in root.handlers[:]:
        if isinstance(handler, logs.ToStandardError):
            root.removeHandler(handler)
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
