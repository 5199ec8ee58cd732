"""One frozen ``Settings`` from flags, ``LIMNER_*`` variables and a TOML file, in this order.

A name nobody knows stops the start, with the nearest known one in the sentence. Every limit
has a setting, its unit last in the name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, PrivateAttr, field_validator

from limner.passwords import without_password as without_password
from limner.settings.few_steps import FewStepsSettings
from limner.settings.memory import MemorySettings
from limner.settings.replicas import ReplicaSettings
from limner.settings.slugs import SLUG, Slugs

PREFIX = "LIMNER_"
CONFIG_VARIABLE = "LIMNER_CONFIG"
CLIENT_VARIABLES = ("LIMNER_URL", "LIMNER_KEY")  # what the Python client reads
MIB = 2**20
_FLAGS = {"models_dirs": "models_dir"}


def home(variable: str, fallback: str, environ: Mapping[str, str] = os.environ) -> Path:
    return Path(environ.get(variable) or Path.home() / fallback) / "limner"


def flag(name: str) -> str:
    """The flag of a setting; one that may be given several times names one of the things."""
    return f"--{_FLAGS.get(name, name).replace('_', '-')}"


def _database_url(known: dict[str, Any]) -> str:
    return f"sqlite:///{Path(known.get('data_dir', '.')) / 'limner.db'}"


def _public_url(known: dict[str, Any]) -> str:
    host = str(known.get("host", "127.0.0.1"))
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{known.get('port', 8420)}"


class Settings(FewStepsSettings, MemorySettings, ReplicaSettings):
    """Everything an operator can choose. Frozen: it does not change while the server runs."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8420, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    public_url: str = Field(
        default_factory=_public_url,
        pattern=r"^https?://[^\s]+$",
        description="Where clients reach this server; absolute URLs in answers begin with it. "
        "Default: `http://HOST:PORT`.",
    )
    proxies: tuple[str, ...] = Field(
        (),
        description="Addresses or networks of reverse proxies whose `X-Forwarded-For` is believed, "
        "comma separated. Without it all their callers share one address.",
    )
    data_dir: Path = Field(
        default_factory=lambda: home("XDG_DATA_HOME", ".local/share"),
        description="Folder of the database and the pictures. "
        "Default: `$XDG_DATA_HOME/limner`, usually `~/.local/share/limner`.",
    )
    pictures: str | None = Field(
        None,
        pattern=r"^(s3|gs|az)://[^/\s]+(/\S*)?$",
        description="Bucket for the pictures, and a prefix in it: `s3://BUCKET/PREFIX`, `gs://...` "
        "or `az://...`; needs the extra `objects`. Default: `pictures` in `data_dir`.",
    )
    database_url: str = Field(
        default_factory=_database_url,
        repr=False,
        pattern=r"^(sqlite|postgresql)(\+\w+)?://",
        description="Database of keys, ledger and requests: SQLite or "
        "`postgresql+psycopg://USER:PASSWORD@HOST/NAME`. Default: SQLite in `data_dir`.",
    )
    database_pool_size: int = Field(
        8, ge=1, le=128, description="Connections kept to the database; also its worker threads."
    )

    model: Path | None = Field(
        None,
        description="Checkpoint: a `.safetensors` or `.ckpt` file or a folder in diffusers layout. "
        "Default: the embedded model.",
    )
    vae: Path | None = Field(None, description="VAE to use in place of the checkpoint's own.")
    text_encoder: Path | None = Field(
        None,
        description="Text encoder to use in place of the checkpoint's own, or for one without.",
    )
    clip_positions: Literal["counted", "stored"] = Field(
        "counted",
        description="CLIP's position ids: `counted` are 0, 1, 2, ...; `stored` takes the "
        "checkpoint's, as AUTOMATIC1111 did, whose pictures differ where merging spoilt them.",
    )
    models_dirs: tuple[Path, ...] = Field(
        (),
        description="Folders of models to list, or files of ComfyUI's `extra_model_paths.yaml`; "
        "the flag several times, the variable comma separated.",
    )
    prediction: Literal["auto", "epsilon", "v"] = Field(
        "auto",
        description="What the UNet predicts, `epsilon` or `v`; `auto` takes what the checkpoint "
        "says.",
    )
    zero_snr: Literal["auto", "yes", "no"] = Field(
        "auto",
        description="Whether its schedule of noise ends in noise alone (zero terminal SNR), `yes` "
        "or `no`; `auto` takes what the checkpoint says.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where the model runs.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Number type of the UNet; `auto` probes which is fast and sound."
    )
    accept_license: bool = Field(
        False,
        description="Keys made by this start accept the loaded checkpoint's licence.",
    )

    slug: str = Field("sd1.5-rpg", pattern=SLUG, description="Name the model is served under.")
    aliases: tuple[str, ...] = Field((), description="More names for it, separated by commas.")
    slugs: Slugs = Field(
        {},
        description="Slugs of other models, `SLUG=NAME` separated by commas; in TOML a table.",
    )
    strict: bool = Field(
        False, description="Refuse an unknown scheduler (406) where otherwise UniPC is used."
    )
    min_steps: int = Field(
        20,
        ge=1,
        le=20,
        description="Fewest steps of the vendor's and OpenAI's calls where no `sampler` is named.",
    )
    base64_default: bool = Field(
        False, description="What an absent `base64` means: a JSON answer in place of the picture."
    )
    embed_metadata: bool = Field(
        True, description="Write parameters and receipt into pictures, unless a request says no."
    )

    body_max_bytes: int = Field(
        32 * MIB, ge=1024, description="Longest request body; longer ones get 413."
    )
    body_max_s: float = Field(
        30.0, gt=0, le=3600, description="Longest time a body may take to arrive."
    )
    bodies_max_mib: int = Field(
        64,
        ge=1,
        description="Memory for bodies over 64 KiB that are being read; more wait their turn, and "
        "get 503 after 10 s.",
    )
    fetch_max_bytes: int = Field(
        16 * MIB, ge=1024, description="Longest picture fetched from a URL that a request names."
    )
    fetch_max_s: float = Field(10.0, gt=0, le=600, description="Longest time it may take.")
    fetch_private: bool = Field(
        False,
        description="Fetch from private addresses too: a key then reaches what this host can.",
    )
    decode_max_s: float = Field(
        10.0, ge=0.1, le=600, description="Processor time that decoding one picture may take."
    )
    decode_max_mib: int = Field(
        640, ge=64, le=65536, description="Memory that decoding one picture may take."
    )
    pictures_max_mib: int = Field(
        192, ge=16, description="Memory for pictures sent and not drawn yet; more get 503."
    )
    wait_max_s: float = Field(
        1800.0, gt=0, le=86400, description="Longest wait for a picture, queue included."
    )
    queue_max_requests: int = Field(
        1024, ge=1, le=100_000, description="Requests that may wait; further ones get 503."
    )
    connections_max: int = Field(
        2048,
        ge=1,
        le=100_000,
        description="Calls of keys in progress at the same time; further ones get 503.",
    )
    key_max_requests_per_minute: int = Field(
        6000, ge=1, description="Requests of one key in a minute; further ones get 429."
    )
    key_max_concurrent: int = Field(
        512, ge=1, description="Requests of one key at the same time; further ones get 429."
    )
    key_max_free_calls_per_minute: int = Field(
        3000,
        ge=1,
        description="Calls of one key in a minute that cost nothing (quotes, explanations, lists), "
        "and as many that are refused; further ones get 429.",
    )
    wrong_keys_max_per_minute: int = Field(
        600, ge=1, description="Wrong keys from one address in a minute, then 429."
    )
    idempotency_keep_hours: int = Field(
        24, ge=1, le=24 * 30, description="How long an `Idempotency-Key` is remembered."
    )
    keep_days: int = Field(30, ge=1, le=36500, description="How long stored pictures are kept.")
    keep_max_mib: int = Field(
        20_480, ge=16, description="Room for stored pictures; who keeps most makes room first."
    )
    sources_max_mib: int = Field(
        512, ge=1, description="Room for the sources of one account's waiting requests; then 429."
    )
    lease_s: float = Field(
        15.0, ge=1, le=600, description="A process silent for this long loses its holds."
    )
    open_sdapi: bool = Field(
        False,
        description="Serve AUTOMATIC1111's calls (`/sdapi/`) without a key to callers on this "
        "machine (loopback, and not through a proxy); they draw on the account `local`.",
    )
    metrics_open: bool = Field(
        False,
        description="Show `/metrics` without a key to callers on this machine (loopback, and not "
        "through a proxy); otherwise it needs a key with the scope admin.",
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="Form of the log's lines; `auto` is JSON unless on a terminal."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least weight of what Limner logs, on standard error."
    )
    drain_s: float = Field(
        30.0, ge=0, le=3600, description="Time that running pictures get at a shutdown."
    )

    @field_validator("aliases", "proxies", "models_dirs", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("public_url")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("data_dir", "model", "vae", "text_encoder")
    @classmethod
    def _expanded(cls, value: Path | None) -> Path | None:
        return value.expanduser() if value else None

    @field_validator("models_dirs")
    @classmethod
    def _all_expanded(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(path.expanduser() for path in value)

    _file: Path | None = PrivateAttr(None)

    @property
    def file(self) -> Path | None:
        """The settings file that was named, if one was."""
        return self._file

    def changed(self, **changes: Any) -> Settings:
        """The same with ``changes``, also in what is derived from them."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        made = Settings.model_validate(given | changes)
        made._file = self._file
        return made

    @property
    def pictures_dir(self) -> Path:
        """Folder of the pictures that are stored on this machine."""
        return self.data_dir / "pictures"

    @property
    def pictures_place(self) -> Path | str:
        """Where pictures are stored: the folder, or the URL of a bucket."""
        return self.pictures or self.pictures_dir

    def shown(self) -> dict[str, Any]:
        """All values as plain JSON, without the database's password."""
        return self.model_dump(mode="json") | {"database_url": without_password(self.database_url)}
