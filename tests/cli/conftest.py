import functools
import logging

import pytest
import torch

from limner import logs
from limner.engine.checkpoints import weights
from tests.engine import checkpoint_files


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


@pytest.fixture(autouse=True, scope="session")
def embedded_is_loaded_once():
    """Commands that draw with the embedded model share it; loading it takes half a second."""
    load = weights.load

    @functools.cache
    def loaded(threads, **options):  # which a checkpoint tells of itself
        return load(None, **options)

    def shared(path=None, *, vae=None, **options):
        if path is None and vae is None:
            return loaded(torch.get_num_threads(), **options)
        return load(path, vae=vae, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "load", shared)
        checkpoint_files.tokenizer_once(patch)
        checkpoint_files.skeletons_once(patch)
        yield
