"""A teller: opens an account, works on it, and reports on standard output what the bank may rely on.

    python teller.py BOOTSTRAP_SERVERS LAYOUT ACCOUNT [COMMANDS]

Runs so many commands; without a number it goes on until somebody kills it. `demo.py` does.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import trio
from bank_account import Account, AccountEvent, Refused, bank_serializer, deposit, euros, evolve, open_account, withdraw
from tellers import Report, bank_config

from kafka_persist import Entity, open_persistence
from kafka_persist.config import Layout

Command: TypeAlias = Callable[[Account], list[AccountEvent]]


def deposit_of(cents: int) -> tuple[str, Command]:
    return f"deposit {euros(cents)}", partial(deposit, cents=cents)


def withdrawal_of(cents: int) -> tuple[str, Command]:
    return f"withdraw {euros(cents)}", partial(withdraw, cents=cents)


OPENING: tuple[str, Command] = ("open for Ada", partial(open_account, owner="Ada"))
DAY = (
    deposit_of(120_00),
    withdrawal_of(35_00),
    deposit_of(8_50),
    withdrawal_of(5000_00),
    withdrawal_of(12_00),
    deposit_of(5_00),
)


async def work(bootstrap_servers: str, layout: Layout, account_id: str, commands: int | None = None) -> None:
    async with (
        open_persistence(bank_config(bootstrap_servers, layout), serializer=bank_serializer()) as persistence,
        persistence.entity(account_id, initial=Account(), evolve=evolve, snapshot_every=20) as account,
    ):
        report(account, snapshot_nr=account.snapshot_sequence_nr).say()
        opening = () if account.state.owner else (OPENING,)
        for name, command in itertools.islice(itertools.chain(opening, itertools.cycle(DAY)), commands):
            try:
                events = await account.execute(command)
            except Refused as refusal:
                report(account, command=name, refused=str(refusal)).say()
            else:  # durable: from here on the bank may rely on them
                first = account.sequence_nr - len(events) + 1
                report(account, command=name, acknowledged=dict(enumerate(events, first))).say()


def report(account: Entity[Account, AccountEvent], **found: Any) -> Report:
    return Report(sequence_nr=account.sequence_nr, cents=account.state.cents, **found)


if __name__ == "__main__":
    servers, layout_name, account_name, *limit = sys.argv[1:]
    trio.run(work, servers, layout_name, account_name, int(limit[0]) if limit else None)
