"""``kafka-persist server``: the test kit's server, a real Kafka on this machine."""

from __future__ import annotations

import importlib

import click

from .frame import DONE, Command

TEST_KIT = "kafka_persist_testkit.__main__"
"""Imported by name: the library does not need what tests it."""


@click.command(
    "server",
    cls=Command,
    short_help="Run a real Kafka here, for tests and trials.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTION]...")
def command(arguments: tuple[str, ...]) -> int:
    """Run a real Kafka on this machine until Ctrl-C, for tests and trials.

    It needs the extra `server`. Its options are those of  python -m kafka_persist_testkit server,  which
    kafka-persist server -- --help  lists:  --port 9092,  --mode kraft,  --data-dir DIR,  --topic NAME  and others.
    """
    kit = importlib.import_module(TEST_KIT)
    try:
        return int(kit.main(["server", *arguments]))
    except SystemExit as end:  # its parser: help, or wrong words
        return end.code if isinstance(end.code, int) else DONE
