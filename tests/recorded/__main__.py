"""``python -m tests.recorded``: record the answers anew, and show what has changed."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.recorded import recording
from tests.recorded.sending import HERE, send_all


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.recorded", description=__doc__)
    parser.add_argument("--of", type=Path, default=HERE, help="the checkout whose code answers")
    parser.add_argument("--file", type=Path, default=recording.FILE, help="the recorded answers")
    parser.add_argument("--show", action="store_true", help="write nothing, only compare")
    chosen = parser.parse_args()
    answers = send_all(chosen.of)
    before = recording.read(chosen.file) if chosen.file.exists() else {}
    for line in recording.compare(before, answers):
        print(line)
    if not chosen.show:
        recording.write(answers, chosen.file)
        print(f"{len(answers)} answers in {chosen.file.name}")


if __name__ == "__main__":
    main()
