"""What a replica draws with: files that it finds where it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.cli.replicating import engine_of
from limner.engine.batching.ticket import read_nothing
from limner.errors import InvalidInput
from limner.settings import Settings
from tests.models import chosen
from tests.waiting import wait_until


@pytest.mark.slow
def test_a_replica_finds_a_model_whose_sum_another_process_made(tmp_path: Path) -> None:
    folder = chosen.write(tmp_path / "models")
    info = chosen.info(folder / "knight.safetensors", folder / "soft.safetensors")
    settings = Settings(data_dir=tmp_path / "data", models_dirs=(folder,), device="cpu")
    engine = engine_of(settings, read_nothing)
    try:
        wait_until(lambda: engine.status().ready)
        engine.expect_model(info.stored_sha256, info.vae_sha256 or "")
        with pytest.raises(InvalidInput, match="This server has no model with the SHA-256 999"):
            engine.expect_model("9" * 64)
    finally:
        engine.close()
