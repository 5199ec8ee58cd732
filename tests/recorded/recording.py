"""The file of recorded answers: one line for each, packed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from tests.recorded.differing import differences
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
    return [
        f"{name}: {line}"
        for name in dict.fromkeys([*before, *now])
        for line in differences(before.get(name, {}), now.get(name, {}))
    ]
