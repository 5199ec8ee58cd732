"""The library of these tests is what they put there."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.models import listing


@pytest.fixture(autouse=True)
def no_satchel(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the embedded model's satchel."""
    folder = tmp_path_factory.mktemp("satchel")
    monkeypatch.setattr(listing, "SATCHEL", folder)
    return folder
