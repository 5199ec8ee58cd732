"""``limner serve`` before it serves: its port, and mistakes that must cost no time."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from limner.cli import checks, serving
from limner.cli.main import typer_app
from limner.errors import SettingsError
from limner.settings import Settings


def test_a_taken_port_stops_the_start_before_anything_is_made(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            SettingsError, match=f"127.0.0.1:{port} cannot be listened on: Address already in use.$"
        ):
            serving.run(Settings(port=port, data_dir=data_dir))
    assert not data_dir.exists()


def test_a_host_nobody_knows_stops_the_start() -> None:
    with pytest.raises(SettingsError, match=r"256\.1\.1\.1:0 cannot be listened on"):
        serving.listen("256.1.1.1", 0)


def test_every_address_of_a_host_gets_the_same_port() -> None:
    sockets = serving.listen("localhost", 0)
    assert len({each.getsockname()[1] for each in sockets}) == 1
    for each in sockets:
        each.close()


def test_a_chosen_port_is_told_to_clients() -> None:
    given = Settings(port=0, slug="other")
    assert serving._with_port(given, 1234).public_url == "http://127.0.0.1:1234"
    assert serving._with_port(given, 1234).slug == "other"
    proxied = Settings(port=0, public_url="https://draw.example")
    assert serving._with_port(proxied, 1234).public_url == "https://draw.example"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_a_flag(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    served: list[Settings] = []
    monkeypatch.setattr(serving, "run", served.append)
    monkeypatch.setattr(checks, "model", lambda settings: None)
    flag = f"--{name.replace('_', '-')}" if name != "models_dirs" else "--models-dir"
    given = GIVEN.get(name, "100")
    words = [flag] if isinstance(Settings.model_fields[name].default, bool) else [flag, given]
    done = CliRunner().invoke(typer_app, ["serve", *words])
    assert done.exit_code == 0, (done.output, done.exception)
    assert served[0].model_fields_set == {name}


GIVEN = {
    "body_max_bytes": "2048",
    "min_steps": "4",
    "engine": "ray",
    "gpus_per_replica": "0.5",
    "fetch_max_bytes": "2048",
    "pictures": "s3://pictures/house",
    "public_url": "https://draw.example",
    "database_url": "sqlite:///x.db",
    "model": "model.safetensors",
    "vae": "vae.safetensors",
    "models_dirs": "models",
    "device": "cpu",
    "dtype": "float32",
    "log_format": "json",
    "log_level": "debug",
    "prediction": "v",
    "zero_snr": "no",
    "clip_positions": "stored",
    "slugs": "other-slug=knight",
    "few_steps": "knight=lcm",
}
