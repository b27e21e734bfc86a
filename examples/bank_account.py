"""A bank account: what happened to it (events), what it is (state), and what may be asked of it (commands).

Nothing in this file knows about Kafka. That is the point of event sourcing: the rules of the business are plain
functions, and the library keeps what they decide.
"""

from __future__ import annotations

from typing import assert_never

import attrs

from kafka_persist.serialization import Serializer

# --- events: facts, in the past tense, never changed -----------------------------------------------------------------


@attrs.frozen
class Opened:
    owner: str


@attrs.frozen
class Deposited:
    cents: int


@attrs.frozen
class Withdrawn:
    cents: int


@attrs.frozen
class FeeCharged:
    cents: int


AccountEvent = Opened | Deposited | Withdrawn | FeeCharged

# --- state: what the events add up to --------------------------------------------------------------------------------


@attrs.frozen
class Account:
    owner: str = ""
    cents: int = 0


def evolve(account: Account, event: AccountEvent) -> Account:
    """The account after an event. Called for new events and for those read back: same events, same account."""
    match event:
        case Opened(owner):
            return attrs.evolve(account, owner=owner)
        case Deposited(cents):
            return attrs.evolve(account, cents=account.cents + cents)
        case Withdrawn(cents) | FeeCharged(cents):
            return attrs.evolve(account, cents=account.cents - cents)
        case _:
            assert_never(event)  # a type checker finds the event that was forgotten here


# --- commands: look at the account, answer with events, or refuse ----------------------------------------------------

WITHDRAWAL_FEE = 5


class Refused(Exception):  # noqa: N818 - an answer, not a failure
    """The bank says no; nothing happened."""


def open_account(account: Account, owner: str) -> list[AccountEvent]:
    if account.owner:
        raise Refused(f"the account already belongs to {account.owner}")
    return [Opened(owner)]


def deposit(account: Account, cents: int) -> list[AccountEvent]:
    if not account.owner:
        raise Refused("nobody has opened this account")
    return [Deposited(cents)]


def withdraw(account: Account, cents: int) -> list[AccountEvent]:
    """Two events that are stored together or not at all: no withdrawal without its fee."""
    if cents + WITHDRAWAL_FEE > account.cents:
        raise Refused(f"{euros(cents)} asked for, {euros(account.cents)} there")
    return [Withdrawn(cents), FeeCharged(WITHDRAWAL_FEE)]


# --- what is stored: each class under a name of its own --------------------------------------------------------------


def bank_serializer() -> Serializer:
    serializer = Serializer()
    for type_ in (Opened, Deposited, Withdrawn, FeeCharged, Account):
        serializer.register(type_)
    return serializer


def euros(cents: int) -> str:
    return f"{cents / 100:.2f} €"
