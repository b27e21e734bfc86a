"""Runs a batch of commands: opens their entities, lets them decide, stores all of it in one write, and knows the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import attrs

from .._entities.stopping import NotRun
from .._journal.batch import Result
from .._lifecycle import open_nursery
from .._live.registry import Registry
from .._shared.commands import CommandLog
from ..command import Reply
from ..entity_type import EntityType
from ..errors import (
    BrokerError,
    EventRejected,
    PersistenceError,
    SequenceNrConflict,
    StoreClosed,
    UsageError,
    WriteError,
    WriteOutcomeUnknown,
    WriterFenced,
    printable,
)
from ..model import Rejection
from ..serialization import Serializer
from .batches import Received, positions
from .records import Answer, Command, Outcome, dump_payload, load_payload, refused
from .rounds import CURRENT, Round

REOPENINGS: Final = 5
"""How often a command opens its entity anew because another one has stopped it."""

ROUNDS: Final = 3
"""How often what is left of a batch is tried again before the shard is claimed anew."""

RETRIED: Final = (WriteError, SequenceNrConflict, StoreClosed, BrokerError)
"""What says nothing about the command itself: it is executed later."""


class Executed(NamedTuple):
    """What became of a batch.

    Attributes:
        done: the commands that took effect or were refused for good, with their answers.
        undecided: commands of which it is not known, with the answers that they have if they took effect.
        failure: why the batch was not completed; None if it was.
    """

    done: list[tuple[Received, Answer]]
    undecided: list[tuple[Received, Answer]]
    failure: PersistenceError | None = None


class Raised(Exception):  # noqa: N818 - says what happened
    """A command's function raised `error`, whatever that says of itself: the command is refused, and not tried again."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error: Exception = error


class Decider:
    """A command's function, which remembers what kind of answer it gives; called at most once for each attempt.

    Args:
        decide: the function.
        serializer: a `Reply` whose value has no stored form is refused before anything is stored.
    """

    def __init__(self, decide: Callable[..., Any], serializer: Serializer) -> None:
        self._decide = decide
        self._serializer = serializer
        self.__qualname__ = getattr(decide, "__qualname__", repr(decide))
        self.called = False
        self.value: list[Any] | None = None
        """The payload of the `Reply`."""

    def __call__(self, state: object, *args: Any, **kwargs: Any) -> Any:
        self.called, self.value = True, None
        try:
            decided = self._decide(state, *args, **kwargs)
            if isinstance(decided, Iterator):
                decided = tuple(decided)  # a generator raises here, too
        except Exception as error:
            raise Raised(error) from error
        if isinstance(decided, Reply):
            self.value = dump_payload(self._serializer, decided.value)
        return decided

    def answer(self, found: Any) -> Answer:
        """The answer of a command that returned `found`; one that took effect earlier was not called again."""
        if self.called and self.value is not None:
            return Answer(Outcome.VALUE, self.value)
        if self.called or isinstance(found, tuple):
            return Answer(Outcome.EVENTS, [dump_payload(self._serializer, event) for event in found])
        return Answer(Outcome.VALUE, dump_payload(self._serializer, found))


@attrs.define
class Attempt:
    """One attempt at a batch.

    Attributes:
        answers: of the commands that are done if the position moves over them, by their offsets.
        failures: why the position does not move over all of them.
    """

    answers: dict[int, Answer] = attrs.field(factory=dict)
    failures: list[PersistenceError] = attrs.field(factory=list)

    @property
    def failure(self) -> PersistenceError | None:
        """The gravest, of the first."""
        return min(self.failures, key=lambda each: not isinstance(each, WriteOutcomeUnknown), default=None)


@attrs.frozen(kw_only=True)
class Executor:
    """Runs batches of one shard.

    Attributes:
        log: the shard's.
        registry: where the entities are.
        types: the kinds of entities, by name.
        serializer: the journal's.
        clock: milliseconds since 1970.
        rejected: commands whose events cannot be stored, by their offsets: they are refused when they are tried again.
    """

    log: CommandLog
    registry: Registry
    types: Mapping[str, EntityType[Any, Any]]
    serializer: Serializer
    clock: Callable[[], int]
    rejected: dict[int, Answer] = attrs.field(factory=dict, init=False)

    async def run(self, batch: Sequence[Received]) -> Executed:
        """Execute commands; all of them, or a beginning of the batch."""
        done: list[tuple[Received, Answer]] = []
        left, tries = list(batch), 0
        while left:
            rejected = len(self.rejected)
            attempt = await self._attempt_at(left)
            answered = [(each, attempt.answers[each.offset]) for each in left if each.offset in attempt.answers]
            failure = attempt.failure
            if failure is None:
                done += answered
                break
            if isinstance(failure, WriteOutcomeUnknown) or not self.log.owned:
                return Executed(done, answered, failure)
            position = self.log.position
            done += [(each, answer) for each, answer in answered if each.offset < position]
            left = [each for each in left if each.offset >= position]
            if len(self.rejected) == rejected:  # else those that cannot be stored are left out now
                tries += 1
                if tries == ROUNDS or isinstance(failure, BrokerError):
                    return Executed(done, [], failure)
        self.rejected.clear()
        return Executed(done, [])

    async def _attempt_at(self, batch: Sequence[Received]) -> Attempt:
        attempt = Attempt()
        commands = [(each, each.command) for each in batch if self._is_to_run(each, attempt)]
        part = Round(len(commands))
        async with open_nursery() as nursery:
            for each, command in commands:
                assert command is not None
                nursery.start_soon(self._run_one, each, command, part, attempt)
            results: dict[int, Result] = {}
            try:
                await part.wait_met()
                if not attempt.failures:
                    results = await self._store(batch, part, attempt)
            finally:
                part.decide(results)
        return attempt

    def _is_to_run(self, each: Received, attempt: Attempt) -> bool:
        """Whether a command is to be run; otherwise its answer is known."""
        answer = self.rejected.get(each.offset)
        if answer is None and each.command is None:
            answer = Answer(Outcome.REFUSED, ["CorruptRecord", each.problem])
        elif answer is None and each.command is not None and each.command.until < self.clock():
            late = "its time was up before the owner of its shard came to it; it was not executed"
            answer = Answer(Outcome.EXPIRED, ["", late])
        if answer is None:
            return True
        attempt.answers[each.offset] = answer
        return False

    async def _store(self, batch: Sequence[Received], part: Round, attempt: Attempt) -> dict[int, Result]:
        """Store what the commands have decided, with the position behind them."""
        storing = [each.offset for each in batch if each.offset in part.writes]
        try:
            if not storing:
                await self.log.pass_over(batch[-1].offset + 1)
                return {}
            writes = [part.writes[offset] for offset in storing]
            found = await self.log.write(list(zip(writes, positions(batch, storing), strict=True)))
        except PersistenceError as error:
            attempt.failures.append(error)
            return dict.fromkeys(storing, error)
        for offset, result in zip(storing, found, strict=True):
            if isinstance(result, Rejection):
                self.rejected[offset] = Answer(Outcome.REFUSED, [EventRejected.__name__, result.reason])
                attempt.failures.append(WriterFenced("a command of the batch cannot be stored, so none is yet"))
        attempt.failures += [result for result in found if isinstance(result, PersistenceError)]
        return dict(zip(storing, found, strict=True))

    # --- one command ---------------------------------------------------------------------------------------------

    async def _run_one(self, each: Received, command: Command, part: Round, attempt: Attempt) -> None:
        token = CURRENT.set((part, each.offset))
        try:
            await self._execute(each, command, part, attempt)
        finally:
            CURRENT.reset(token)
            if each.offset not in part.writes:
                part.arrive()

    async def _execute(self, each: Received, command: Command, part: Round, attempt: Attempt) -> None:
        try:
            type_, decider, args, kwargs = self._understood(command)
        except PersistenceError as error:
            attempt.answers[each.offset] = refused(error)
            return
        try:
            found = await self._decide(each.persistence_id, type_, command.key, decider, args, kwargs)
            attempt.answers[each.offset] = decider.answer(found)
        except Raised as raised:
            attempt.answers[each.offset] = refused(raised.error)
        except RETRIED as error:
            attempt.failures.append(error)
            if each.offset in part.writes:  # if it is stored all the same, this is what it returned
                events = tuple(event.payload for event in part.writes[each.offset].events)
                attempt.answers[each.offset] = decider.answer(events)
        except Exception as error:  # noqa: BLE001 - what it returned cannot be stored, its entity is damaged: its own matter
            attempt.answers[each.offset] = refused(error)

    def _understood(self, command: Command) -> tuple[EntityType[Any, Any], Decider, list[Any], dict[str, Any]]:
        """What a command says, in terms of this program.

        Raises:
            PersistenceError: this program does not know it.
        """
        type_ = self.types.get(command.type)
        decide = None if type_ is None else type_.commands.get(command.name)
        if type_ is None or decide is None:
            raise UsageError(
                f"the owner of the shard has no command {printable(command.name)} of a type {printable(command.type)}: the types "
                "and their commands must be the same in all processes of the group"
            )
        args = [load_payload(self.serializer, payload) for payload in command.arguments]
        kwargs = {name: load_payload(self.serializer, payload) for name, payload in command.named.items()}
        return type_, Decider(decide, self.serializer), args, kwargs

    async def _decide(
        self, persistence_id: str, type_: EntityType[Any, Any], key: str, decider: Decider, args: Any, kwargs: Any
    ) -> Any:
        """Run a command on its entity; see `Entity.attempt`."""
        for _ in range(REOPENINGS):
            try:
                async with self.registry.use(type_, persistence_id) as entity:
                    return await entity.attempt(key or None, decider, args, kwargs)
            except NotRun:
                continue
        raise BrokerError(f"{printable(persistence_id)} was stopped again and again before the command had its turn")
