"""The short hashes by which AUTOMATIC1111 names files in the texts of its pictures.

Its ten digits for a checkpoint or a VAE are the beginning of the SHA-256 (``digests``).
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from limner.engine.checkpoints.containers import read_header


def short_hash(path: Path) -> str:
    """Twelve digits by which AUTOMATIC1111 names a LoRA, in its texts and where it looks for it.

    Those that its trainer wrote into its metadata (``sshs_model_hash``); else of the SHA-256 of a
    safetensors file without its header, which Civitai calls AutoV3, or of another file's whole.
    """
    header = read_header(path)
    said = header.metadata.get("sshs_model_hash", "").lower()
    if re.fullmatch("[0-9a-f]{12,64}", said):
        return said[:12]
    with path.open("rb") as file:
        if not header.pickled:
            file.seek(8 + int.from_bytes(file.read(8), "little"))
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def old_hash(path: Path) -> str:
    """Eight digits by which AUTOMATIC1111 named a checkpoint in 2022: of 64 KiB from 1 MiB on."""
    with path.open("rb") as file:
        file.seek(0x100000)
        return hashlib.sha256(file.read(0x10000)).hexdigest()[:8]
