"""The upscaler of a second pass is bound to its file before anything is held."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.errors import InvalidInput
from limner.models.listing import Library
from limner.usecases.drawing.adapters import AdapterFiles
from tests.engine.factories import make_generation
from tests.engine.upscaling import making


def test_a_second_pass_names_its_upscalers_file(tmp_path: Path) -> None:
    sha256 = making.written(tmp_path / "net.pth", making.compact())
    files = AdapterFiles(Library(None, [tmp_path]))
    large = {"width": 1024, "height": 1024}
    for name in ("net", sha256):
        g = make_generation("a", hires={**large, "upscaler": name})
        [bound] = files.bind([g])
        assert bound.hires is not None
        assert bound.hires.upscaler_sha256 == sha256
        assert bound.model_dump()["hires"]["upscaler_sha256"] == sha256
    assert files.find(sha256) == tmp_path / "net.pth"
    for name in ("Lanczos", "Latent", "Scale2x"):
        [bound] = files.bind([make_generation("a", hires={**large, "upscaler": name})])
        assert bound.hires is not None
        assert "upscaler_sha256" not in bound.model_dump()["hires"]
    with pytest.raises(InvalidInput, match=r"hires\.upscaler is 'nobody'") as refused:
        files.bind([make_generation("a", hires={**large, "upscaler": "nobody"})])
    assert refused.value.field == "hires.upscaler"
