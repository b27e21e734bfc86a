"""The kit for tests of entities: what it accepts, what it finds, and what it says."""

from __future__ import annotations

import random

import attrs
import pytest

from kafka_persist import EntityType, EventRejected, Reply, Serializer, Tagged, UsageError
from kafka_persist_testkit import EntityKit

from .conftest import ACCOUNT, Put, Refused, Took, account_type, evolve, put, take

KIT = EntityKit(ACCOUNT)


def test_events_reply_and_state_are_compared():
    """One line for each case, as in the books."""
    KIT.when(put, 5).then(Put(5), state=5)
    KIT.given(Put(5)).when(take, 3).then(Took(3), reply=2, state=2)
    KIT.given(Put(5), Took(1)).when(lambda _balance: []).then(state=4)


def test_a_refusal_is_compared_by_class_or_by_its_arguments():
    """Nothing is stored, and the state stays."""
    KIT.given(Put(2)).when(take, 3).then(Refused, state=2)
    KIT.given(Put(2)).when(take, 3).then(Refused(2))


def test_commands_follow_each_other():
    """`then` returns the entity as it is after the command."""
    KIT.when(put, 5).then(Put(5)).when(take, 9).then(Refused).when(take, 3).then(Took(3), state=2)


def test_tags_are_compared_where_they_are_expected():
    """A bare event is compared without them."""
    kit = EntityKit(account_type(tagger=lambda _event: ["all"], metadata=lambda _event: {"version": 1}))
    result = kit.when(lambda _balance: [Tagged(Put(1), tags=["small"])])
    result.then(Put(1))
    result.then(Tagged(Put(1), tags=["all", "small"], metadata={"version": 1}))
    with pytest.raises(AssertionError, match="expected the events Tagged"):
        result.then(Tagged(Put(1), tags=["small"]))


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        (lambda: KIT.when(put, 5).then(Put(6)), r"expected the events Put\(amount=6\), got the events Put\(amount=5\)"),
        (lambda: KIT.when(put, 5).then(), r"expected no events, got the events Put\(amount=5\)"),
        (lambda: KIT.when(put, 5).then(Put(5), Put(5)), "expected the events"),
        (lambda: KIT.when(put, 5).then(Put(5), state=6), "expected the state 6, got 5"),
        (lambda: KIT.when(put, 5).then(Refused), r"expected Refused, got the events Put\(amount=5\)"),
        (lambda: KIT.when(take, 5).then(Took(5)), r"got Refused\(0\)"),
        (lambda: KIT.when(take, 5).then(Refused(7)), r"expected Refused\(7\), got Refused\(0\)"),
        (lambda: KIT.when(take, 5).then(KeyError), r"expected KeyError, got Refused\(0\)"),
        (lambda: KIT.when(put, 5).then(Put(5), reply=5), "without a Reply"),
        (lambda: KIT.given(Put(5)).when(take, 3).then(Took(3), reply=5), "expected the reply 5, got 2"),
    ],
)
def test_what_came_otherwise_is_said(expect, message):
    """Both sides are in the message."""
    with pytest.raises(AssertionError, match=message):
        expect()


SERIALIZER = Serializer()


@SERIALIZER.register_type()
@attrs.frozen
class Added:
    item: str


@SERIALIZER.register_type()
@attrs.frozen
class Basket:
    items: list[str] = attrs.Factory(list)


def add(basket: Basket, item: str) -> list[Added]:
    return [Added(item)]


def evolve_well(basket: Basket, event: Added) -> Basket:
    return Basket([*basket.items, event.item])


def evolve_in_place(basket: Basket, event: Added) -> Basket:
    basket.items.append(event.item)
    return basket


def evolve_by_chance(basket: Basket, event: Added) -> Basket:
    return Basket([*basket.items, f"{event.item}-{random.random()}"])


def add_in_place(basket: Basket, item: str) -> list[Added]:
    basket.items.append(item)
    return [Added(item)]


def basket_type(evolve, **options):
    return EntityType("basket", initial=Basket(), evolve=evolve, serializer=SERIALIZER, **options)


def test_an_old_state_that_changes_is_found():
    """In `evolve` and in a command; frozen classes alone do not prevent it."""
    EntityKit(basket_type(evolve_well)).when(add, "tea").then(Added("tea"), state=Basket(["tea"]))
    with pytest.raises(AssertionError, match="evolve changed the old state"):
        EntityKit(basket_type(evolve_in_place)).given(Added("tea"))
    with pytest.raises(AssertionError, match="add_in_place changed the old state"):
        EntityKit(basket_type(evolve_well)).when(add_in_place, "tea")


def test_an_evolve_that_is_no_function_of_state_and_event_is_found():
    """A recovery would lead to another state."""
    with pytest.raises(AssertionError, match="another state"):
        EntityKit(basket_type(evolve_by_chance)).when(add, "tea")


def test_events_and_states_are_stored_and_read_back():
    """What the serializer would refuse in production is refused here."""
    KIT.when(put, "five").then(EventRejected)
    states = Serializer()
    states.register(Added)
    states.register(Basket, encode=lambda basket: basket.items[:1], decode=Basket, verify=False)
    kit = EntityKit(basket_type(evolve_well, snapshot_every=10), serializer=states)
    kit.given(Added("tea"))
    with pytest.raises(AssertionError, match="the state does not come back"):
        kit.given(Added("tea"), Added("milk"))
    with pytest.raises(UsageError, match="not registered"):
        EntityKit(ACCOUNT, serializer=Serializer())


def test_what_is_too_large_for_kafka_is_rejected():
    """With the limits of the configuration."""
    EntityKit(basket_type(evolve_well)).when(add, "x" * 2_000_000).then(EventRejected, state=Basket())


def test_evolve_returning_none_is_an_error_as_in_production():
    """It lacks a case."""
    kit = EntityKit(
        EntityType("account", initial=0, evolve=lambda _state, _event: None, events=[Put]),
        serializer=ACCOUNT.serializer,
    )
    with pytest.raises(AssertionError, match="EvolveFailed"):
        kit.when(put, 1).then(Put(1))


def test_replies_without_events_are_compared():
    """A question is a command, too."""
    KIT.given(Put(3)).when(Reply).then(reply=3, state=3)
    assert KIT.given(Put(3)).state == 3
    assert KIT.when(put, 1).events == (Put(1),)
    assert evolve(0, Put(1)) == 1
