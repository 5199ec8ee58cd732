"""Billing under planted faults: ``python -m bench.billing --runs 1000 --seed 1``.

Random bodies on every surface that bills (grids, several parts, sources, edits, replays), with and
without idempotency keys, while steps, decoding, sources, files and transactions fail at random.
What the answers say must be what the ledger took and hold all that it took for, and a retry must
bring the same and take nothing.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from pathlib import Path

from tests.web import planted


def main() -> None:
    """Print what came, and every difference; status 1 when there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--odds", type=float, default=0.03)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # every planted fault has a traceback
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        wrong, answers, struck = planted.check(
            Path(folder), options.runs, seed=options.seed, odds=options.odds
        )
    seconds = time.monotonic() - began
    print(f"{options.runs} runs in {seconds:.0f} s, answers {dict(sorted(answers.items()))}")
    print(f"planted faults {dict(struck)}, {len(wrong)} differences")
    for line in wrong:
        print("WRONG", line)
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
