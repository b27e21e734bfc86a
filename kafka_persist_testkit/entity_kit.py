"""Tests of entities in the form *given* these events, *when* this command, *then* these events: no store, no Trio.

Beside what the test asks for, each step checks what would otherwise show in production only: that every event, and every
state of which snapshots are saved, comes back from the serializer as it was; that `evolve` makes the same state of a
stored event as of a new one; and that neither `evolve` nor the command changes the old state.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar

import attrs

from kafka_persist import EntityType, EventRejected, JournalConfig, Reply, SerializationError, Serializer, Tagged
from kafka_persist._entities.fold import Fold
from kafka_persist._entities.writes import atomic_write
from kafka_persist._memory.sizes import KafkaSizes
from kafka_persist._structuring import difference
from kafka_persist.command import Decision, decide_on
from kafka_persist.model import Rejection
from kafka_persist.tagging import Label

S = TypeVar("S")
E = TypeVar("E")
P = ParamSpec("P")

_WRITER: Final = uuid.UUID(int=0)


class _NotGiven:
    def __repr__(self) -> str:
        return "<not given>"


_NOT_GIVEN: Final = _NotGiven()


class EntityKit(Generic[S, E]):
    """Tests the commands of one kind of entity.

    ``EntityKit(account).given(Deposited(500)).when(withdraw, 200).then(Withdrawn(200), state=300)``. A kit has no state
    of its own: each `given` begins anew.

    Args:
        type_: the kind.
        serializer: knows the types of events and state; by default the one that the type was made with.
        config: its limits hold: an event that a journal in Kafka would reject as too large is rejected here.

    Raises:
        UsageError: a type of event or state is not registered.
    """

    def __init__(
        self, type_: EntityType[S, E], *, serializer: Serializer | None = None, config: JournalConfig | None = None
    ) -> None:
        self._type = type_
        self._serializer = serializer or type_.serializer or Serializer()
        limits = config or JournalConfig()
        self._sizes = KafkaSizes(limits.max_event_bytes, limits.max_record_bytes)
        type_.check_types(self._serializer)

    def given(self, *events: E | Tagged[E]) -> Given[S, E]:
        """Begin with the state that these events lead to; the initial one if there are none.

        Raises:
            AssertionError: an event or state does not come back from the serializer, or `evolve` changes the old state.
            EvolveFailed, SerializationError: as in production.
        """
        return self.given_stored(*events)

    def given_stored(self, *events: Any) -> Given[S, E]:
        """Begin with events that an older release stored: `EntityType.upcast` makes today's events of them.

        Raises: as `given`.
        """
        fold = self._type.fold(self._type.persistence_id("kit"))
        stored, _ = self._type.labeller.label(events)
        restored = [self._round_trip(event, "the event") for event in stored]
        today = [each for number, event in enumerate(restored, start=1) for each in fold.events_of(event, number)]
        return Given(self, fold, self._after(Given(self, fold, fold.state, 0), today), len(stored))

    def when(
        self,
        decide: Callable[Concatenate[S, P], Reply[Any, E] | Iterable[E | Tagged[E]]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> When[S, E]:
        """Run a command on an entity without events; see `Given.when`."""
        return self.given().when(decide, *args, **kwargs)

    # --- the checks ----------------------------------------------------------------------------------------------

    def run(self, given: Given[S, E], decide: Callable[..., Any], args: Any, kwargs: Any) -> When[S, E]:
        """Run a command, and note what came of it."""
        before = copy.deepcopy(given.state)
        try:
            decision = decide_on(given.state, decide, args, kwargs)
            events, labels = self._type.labeller.label(decision.events)
            self._check_unchanged(given.state, before, getattr(decide, "__qualname__", repr(decide)))
            state = self._after(given, events, labels)
        except AssertionError:
            raise
        except Exception as error:  # noqa: BLE001 - what the command refuses with, or the library; `then` compares it
            return When(self, given, error=error)
        return When(self, given, decision, events, labels, state)

    def _after(self, given: Given[S, E], events: Sequence[Any], labels: Sequence[Label] = ()) -> S:
        """The state after some more events, with all checks."""
        labels = labels or [Label()] * len(events)
        if events:
            self._check_storable(given, events, labels)
        state = given.state
        for number, event in enumerate(events, start=given.sequence_nr + 1):
            state = self._next_state(given.fold, state, number, event)
        return state

    def _check_storable(self, given: Given[S, E], events: Sequence[Any], labels: Sequence[Label]) -> None:
        """Refuse what the journal would reject, as an entity does."""
        write = atomic_write(given.fold.persistence_id, given.sequence_nr + 1, _WRITER, events, labels)
        try:
            rejection = self._sizes.rejection(write, self._serializer, 1)
        except SerializationError as error:
            rejection = Rejection(str(error), error)
        if rejection is not None:
            raise EventRejected(rejection.reason, rejection)

    def _next_state(self, fold: Fold[S], state: S, number: int, event: Any) -> S:
        stored = self._round_trip(event, "the event")
        before, event_before = copy.deepcopy(state), copy.deepcopy(event)
        found = fold.next_state(state, number, event)
        self._check_unchanged(state, before, "evolve")
        self._check_unchanged(event, event_before, "evolve", "the event")
        where = difference(found, fold.next_state(before, number, stored))
        if where is not None:
            raise AssertionError(
                f"evolve made another state of the stored form of {event!r} than of the event itself: state{where} "
                "differs. A recovery would not restore the state that the entity had"
            )
        if self._type.retention.saves:
            self._round_trip(found, "the state")
        return found

    def _round_trip(self, value: Any, what: str) -> Any:
        encoded = self._serializer.dump(value)
        restored = self._serializer.load(encoded.name, encoded.version, copy.deepcopy(encoded.data))
        if (where := difference(value, restored)) is not None:
            raise AssertionError(f"{what} does not come back from the serializer as it was: {value!r}{where} differs")
        return restored

    @staticmethod
    def _check_unchanged(value: Any, before: Any, who: str, what: str = "the old state") -> None:
        if (where := difference(before, value)) is not None:
            raise AssertionError(
                f"{who} changed {what}{where}: it was {before!r} and is {value!r}. Make a new one (attrs.evolve, "
                "[*old, new]): the library calls evolve before it stores, and drops the result if nothing was stored"
            )


@attrs.frozen(eq=False)
class Given(Generic[S, E]):
    """An entity after some events.

    Attributes:
        kit: whose checks are made.
        fold: calls `evolve`.
        state: as it is now.
        sequence_nr: how many events there were.
    """

    kit: EntityKit[S, E] = attrs.field(repr=False)
    fold: Fold[S] = attrs.field(repr=False)
    state: S
    sequence_nr: int

    def when(
        self,
        decide: Callable[Concatenate[S, P], Reply[Any, E] | Iterable[E | Tagged[E]]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> When[S, E]:
        """Run a command on the state, as `Entities.execute` does.

        Raises:
            AssertionError: the command or `evolve` changes the old state, or something cannot be stored and read back.
                What the command raises itself is for `When.then` to compare.
        """
        return self.kit.run(self, decide, args, kwargs)


@attrs.frozen(eq=False)
class When(Generic[S, E]):
    """What came of a command.

    Attributes:
        events: without their tags.
        labels: tags and metadata of each event.
        error: why nothing was stored; None if the command succeeded.
    """

    _kit: EntityKit[S, E] = attrs.field(repr=False)
    _given: Given[S, E] = attrs.field(repr=False)
    _decision: Decision = attrs.field(default=Decision(()), repr=False)
    events: tuple[Any, ...] = ()
    labels: tuple[Label, ...] = attrs.field(default=(), repr=False)
    _state: Any = attrs.field(default=_NOT_GIVEN, repr=False)
    error: Exception | None = None

    @property
    def reply(self) -> Any:
        """The value of the command's `Reply`; None if it gave none."""
        return self._decision.reply

    @property
    def state(self) -> S:
        """The state after the command; the old one if it failed."""
        state: S = self._given.state if self.error is not None else self._state
        return state

    def then(
        self,
        *expected: E | Tagged[E] | Exception | type[Exception],
        reply: object = _NOT_GIVEN,
        state: S | _NotGiven = _NOT_GIVEN,
    ) -> Given[S, E]:
        """Compare, and return the entity as it is now, so that another ``.when(...)`` can follow.

        Args:
            expected: the events, all of them, in order; none if the command stores nothing. A `Tagged` one is
                compared with its tags and metadata, another one without. Or a single exception: its class, or an
                instance with the same arguments.
            reply: the value of the command's `Reply`.
            state: the state after the command.

        Raises:
            AssertionError: it came otherwise.
        """
        if len(expected) == 1 and _is_exception(expected[0]):
            self._expect_error(expected[0])
        else:
            self._expect_events(expected)
        if reply is not _NOT_GIVEN and (not self._decision.replied or reply != self.reply):
            raise AssertionError(f"expected the reply {reply!r}, got {self._told_reply}")
        if state is not _NOT_GIVEN and state != self.state:
            raise AssertionError(f"expected the state {state!r}, got {self.state!r}")
        return Given(self._kit, self._given.fold, self.state, self._given.sequence_nr + len(self.events))

    @property
    def _told_reply(self) -> str:
        return repr(self.reply) if self._decision.replied else "none: the command returned events without a Reply"

    def _expect_error(self, expected: Any) -> None:
        told = expected.__name__ if isinstance(expected, type) else repr(expected)
        if self.error is None:
            raise AssertionError(f"expected {told}, got {_list(self.events)}")
        type_ = expected if isinstance(expected, type) else type(expected)
        same = isinstance(self.error, type_) and (expected is type_ or expected.args == self.error.args)
        if not same:
            raise AssertionError(f"expected {told}, got {self.error!r}") from self.error

    def _expect_events(self, expected: Sequence[Any]) -> None:
        if self.error is not None:
            raise AssertionError(f"expected {_list(expected)}, got {self.error!r}") from self.error
        got = [
            Tagged(event, tags=label.tags, metadata=label.metadata) if isinstance(wanted, Tagged) else event
            for wanted, event, label in zip(expected, self.events, self.labels, strict=False)
        ] + list(self.events[len(expected) :])
        if list(expected) != got:
            raise AssertionError(f"expected {_list(expected)}, got {_list(got)}")


def _is_exception(value: object) -> bool:
    return isinstance(value, Exception) or (isinstance(value, type) and issubclass(value, Exception))


def _list(events: Iterable[object]) -> str:
    return f"the events {', '.join(map(repr, events))}" if events else "no events"
