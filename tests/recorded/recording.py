"""The file of recorded answers: one line for each, packed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from tests.recorded.normal import differences
from tests.recorded.sending import Answers

FILE = Path(__file__).with_name("answers.jsonl.gz")


def read(file: Path = FILE) -> Answers:
    lines = gzip.decompress(file.read_bytes()).decode().splitlines()
    return dict(map(json.loads, lines))


def write(answers: Answers, file: Path = FILE) -> None:
    lines = (json.dumps(each, sort_keys=True) + "\n" for each in answers.items())
    file.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))


def compare(before: Answers, now: Answers) -> list[str]:
    """A line for each difference, behind the name of the request; empty where there is none."""
    told = []
    for name in [*before, *(name for name in now if name not in before)]:
        found = differences(before.get(name, {}), now.get(name, {}))
        told += [f"{name}: {line}" for line in found]
    return told
