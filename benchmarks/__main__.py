"""Run them: ``python -m benchmarks [--quick] [--only CASE ...] [--json FILE]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import trio

from kafka_persist_testkit import TestServer

from . import memory
from .cases import CASES, QUICK, Sizes, open_bench
from .harness import HEADER, Result, run, save

NAMES = [*CASES, *memory.CASES]


async def main(options: argparse.Namespace, servers: str) -> int:
    results: list[Result | memory.Footprint] = []
    print(HEADER, flush=True)
    async with open_bench(servers, QUICK if options.quick else Sizes()) as bench:
        for name in options.only or NAMES:
            found = (
                await run(await CASES[name](bench), options.rounds)
                if name in CASES
                else await memory.CASES[name](bench)
            )
            results.append(found)
            print(found.row(), flush=True)
    if options.json:
        save(results, options.json)
    missed = [result.name for result in results if not result.met]
    print(
        f"\n{len(results) - len(missed)} of {len(results)} goals met"
        + (f"; missed: {', '.join(missed)}" if missed else "")
    )
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="This library beside the raw client.")
    parser.add_argument("--quick", action="store_true", help="smaller rounds: under 3 minutes in all")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds of each case (default 5)")
    parser.add_argument("--only", nargs="*", choices=NAMES, metavar="CASE", help=f"some of: {', '.join(NAMES)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return parser.parse_args()


if __name__ == "__main__":
    chosen = arguments()
    with TestServer() as server:
        sys.exit(trio.run(main, chosen, server.bootstrap_servers))
