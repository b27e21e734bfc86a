"""Run them: ``python -m benchmarks [--quick] [--mode kraft] [--only ROW ...] [--json FILE]``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import trio

from kafka_persist_testkit import TestServer

from .bench import QUICK, Sizes, open_bench
from .harness import HEADER, Row, save
from .rows import GROUPS, ROWS


async def measure(names: list[str], options: argparse.Namespace, servers: str) -> list[Row]:
    found: list[Row] = []
    async with open_bench(servers, options.mode, QUICK if options.quick else Sizes()) as bench:
        for name in names:
            for row in await ROWS[name](bench, options.rounds):
                found.append(row)
                print(row.row(), flush=True)
    return found


def summary(results: list[Row], seconds: float) -> str:
    judged = [result for result in results if result.met is not None]
    missed = [result.name for result in judged if not result.met]
    line = f"{len(judged) - len(missed)} of {len(judged)} goals met in {seconds:.0f} s"
    return line + "".join(f"\n  missed: {name}" for name in missed)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="This library beside the raw client.")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller rounds: under 4 minutes in all")
    parser.add_argument("--mode", choices=["zookeeper", "kraft"], default="zookeeper", help="the broker's (zookeeper)")
    parser.add_argument("--rounds", type=int, help="counted rounds of each row (default 5, quick 3)")
    parser.add_argument("--only", nargs="*", choices=list(ROWS), metavar="ROW", help=f"some of: {', '.join(ROWS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 5)
    return options


def main() -> int:
    options = arguments()
    started = time.monotonic()
    results: list[Row] = []
    print(HEADER, flush=True)
    for group in GROUPS.values():
        names = [name for name in group if not options.only or name in options.only]
        if names:
            with TestServer(options.mode) as server:
                results += trio.run(measure, names, options, server.bootstrap_servers)
    if options.json:
        save(results, options.json)
    print(f"\n{summary(results, time.monotonic() - started)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
