"""What the type checkers must find in a program that uses live entities; nothing here is ever run.

Each line with a ``type: ignore`` is wrong on purpose. mypy (``warn_unused_ignores``) and pyright
(``reportUnnecessaryTypeIgnoreComment``) complain if they do *not* find the error there, and `assert_type` fails if a
type that users rely on is lost. `nox -s typing` runs both.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true, reportUnusedFunction=false

from __future__ import annotations

from typing import assert_type

import attrs

from kafka_persist import Entities, Entity, EntityType, Persistence, Reply, Tagged


@attrs.frozen
class Deposited:
    cents: int


@attrs.frozen
class Withdrawn:
    cents: int


@attrs.frozen
class Shipped:
    """An event of another type of entity."""


def evolve(balance: int, event: Deposited | Withdrawn) -> int:
    return balance + event.cents


def deposit(_balance: int, cents: int) -> list[Deposited]:
    return [Deposited(cents)]


def withdraw(balance: int, cents: int) -> Reply[int, Withdrawn]:
    return Reply(balance - cents, Withdrawn(cents))


def deposit_tagged(_balance: int) -> list[Tagged[Deposited]]:
    return [Tagged(Deposited(1), tags={"large"})]


def ship(_balance: int) -> list[Shipped]:
    return [Shipped()]


def ship_and_reply(_balance: int) -> Reply[str, Shipped]:
    return Reply("shipped", Shipped())


def of_another_state(state: str) -> list[Deposited]:
    return [Deposited(len(state))]


ACCOUNT = EntityType("account", initial=0, evolve=evolve, snapshot_every=100)
assert_type(ACCOUNT, EntityType[int, Deposited | Withdrawn])


def types_of_a_kind() -> None:
    def tags_of_shipped(_event: Shipped) -> list[str]:
        return []

    def is_long(state: str, _event: Deposited | Withdrawn, _number: int) -> bool:
        return len(state) > 1

    EntityType("account", initial="", evolve=evolve)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    EntityType[int, Shipped]("account", initial=0, evolve=evolve)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    EntityType[int, Deposited]("account", initial=0, evolve=evolve, tagger=tags_of_shipped)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    EntityType("account", initial=0, evolve=evolve, snapshot_when=is_long)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def commands(entities: Entities) -> None:
    assert_type(await entities.execute(ACCOUNT, "1", deposit, 5), tuple[Deposited | Withdrawn, ...])
    assert_type(await entities.execute(ACCOUNT, "1", withdraw, cents=5), int)
    assert_type(await entities.execute(ACCOUNT, "1", deposit_tagged), tuple[Deposited | Withdrawn, ...])
    assert_type(await entities.execute_once(ACCOUNT, "1", "key", withdraw, 5), int)
    assert_type(await entities.state(ACCOUNT, "1"), int)


async def wrong_commands(entities: Entities) -> None:
    await entities.execute(ACCOUNT, "1", ship)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await entities.execute(ACCOUNT, "1", ship_and_reply)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await entities.execute(ACCOUNT, "1", of_another_state)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await entities.execute(ACCOUNT, "1", deposit, "5")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await entities.execute(ACCOUNT, "1", withdraw)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await entities.execute_once(ACCOUNT, "1", "key", ship)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await entities.execute_once(ACCOUNT, "1", 7, deposit, 5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def one_entity(persistence: Persistence) -> None:
    async with persistence.entity("account-1", initial=0, evolve=evolve) as account:
        assert_type(account, Entity[int, Deposited | Withdrawn])
        assert_type(account.state, int)
        await account.persist(Deposited(1), Tagged(Withdrawn(1), tags={"small"}))
        assert_type(await account.execute(withdraw, 5), int)
        await account.persist(Shipped())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await account.execute(ship)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
        await account.execute(of_another_state)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
