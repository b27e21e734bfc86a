"""`python -m lab.fleet`: processes with shards on a real broker, faults from a seed, and a count."""

from __future__ import annotations

import argparse
import random
import sys

from .supervisor import main

parser = argparse.ArgumentParser(prog="python -m lab.fleet", description=__doc__)
parser.add_argument("--processes", type=int, default=3)
parser.add_argument("--commands", type=int, default=10_000, help="of each process (default: 10,000)")
parser.add_argument("--ids", type=int, default=1_000)
parser.add_argument("--faults", type=int, default=20)
parser.add_argument(
    "--seed", type=int, default=None, help="the seed of every random choice (default: a new one, printed)"
)
given = parser.parse_args()
seed = random.randrange(1 << 30) if given.seed is None else given.seed  # noqa: S311 - chances, not secrets
sys.exit(main(processes=given.processes, commands=given.commands, ids=given.ids, faults=given.faults, seed=seed))
