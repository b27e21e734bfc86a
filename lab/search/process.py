"""What one process can do next, and what it then believes.

The protocol is `_journal/idlog.py`'s, one record in flight: send, land, learn. A record may land later than its sender
waits, or several times; the answer may name the offset of any copy, or none.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from kafka_persist._core.chain import Chain, Verdict
from kafka_persist._core.envelope import Envelope, Kind
from kafka_persist.errors import PersistenceError

from .world import TRUNCATED, Failure, Log, Reading, Violation, World

CUT_OFF: Final = -1


class Phase(enum.IntEnum):
    """What a process waits for."""

    FREE = 0
    CLAIM = 1
    EVENTS = 2
    DELETE = 3
    CONFIRM = 4
    ENDED = 5


class Process(NamedTuple):
    """One incarnation of an entity, in a process of its own.

    Attributes:
        index: which one.
        chain: what it knows; a number in `World.chains`.
        phase: what it waits for.
        record: its record in flight; -1 for none.
        cut: the offset to cut to when its deletion counts; -1: the deletion's own.
        failed: the outcome of a write is unknown, so it writes no more.
        attempts: how many of its records got no answer.
        misled: it has seen records that the broker has lost since.
    """

    index: int  # type: ignore[assignment]  # a field of this record, not the tuple's method
    chain: int
    phase: Phase = Phase.FREE
    record: int = -1
    cut: int = -1
    failed: bool = False
    attempts: int = 0
    misled: bool = False


class Move(NamedTuple):
    """One step of a process.

    Attributes:
        label: for people.
        log: the log behind it.
        process: the process behind it.
        effects: what else changes: budgets spent, records that may land later, cuts that were asked for.
    """

    label: str
    log: int
    process: Process
    effects: tuple[tuple[str, int], ...] = ()


class Moves:
    """The moves of processes in one world."""

    def __init__(self, world: World, *, misuse: bool = False) -> None:
        self.world = world
        self.rule = world.rule
        self._misuse = misuse

    def writer(self, index: int) -> bytes:
        """The uuid of a process; with `misuse` the first two have the same."""
        return bytes([1 if self._misuse and index < 2 else index + 1]) * 16

    def of(self, log: Log, process: Process) -> Iterator[Move]:
        """Everything that `process` can do next."""
        self._check_knowledge(log, process)
        if process.phase is Phase.FREE:
            for label, start in (("claim", self._claim), ("write", self._write), ("delete", self._delete)):
                for sent in start(log, process):
                    yield sent
                    yield from self._at_once(label, sent)
        elif process.phase is not Phase.ENDED:
            yield from self._waiting(log, process)

    def _at_once(self, label: str, sent: Move) -> Iterator[Move]:
        """The same with the answer, as one step."""
        process, log = sent.process, self.world.logs[sent.log]
        if process.phase is Phase.ENDED or process.record < 0:
            return
        landed = self.world.logs[self.world.append(log, process.record)]
        for learnt in self._learn(landed, process, landed.end - 1):
            yield Move(f"{sent.label}!", learnt.log, learnt.process, sent.effects + learnt.effects)

    def _waiting(self, log: Log, process: Process) -> Iterator[Move]:
        places = [offset for offset, record in enumerate(log.records) if record == process.record]
        if not places:
            yield Move(f"P{process.index} lands", self.world.append(log, process.record), process)
        for offset in places:
            yield from self._learn(log, process, offset)
        if places:
            yield from self._learn(log, process, None)
        late = () if places else (("late", process.record),)
        yield Move(
            f"P{process.index} waits no longer",
            log.number,
            process._replace(
                phase=Phase.FREE,
                record=-1,
                cut=-1,
                failed=process.failed or process.phase is Phase.EVENTS,
                attempts=process.attempts + 1,
            ),
            (("timeouts", 1), *late),
        )

    # --- sending ---------------------------------------------------------------------------------------------------

    def _claim(self, log: Log, process: Process) -> Iterator[Move]:
        known = self._refreshed(log, process)
        if isinstance(known, Move):
            yield known
            return
        chain = self.world.chains[known]
        writer = self.writer(process.index)
        if not self.rule.claims:  # a mutant: takes over without a record
            taken = self.world.chain(_held_by(chain, writer))
            yield Move(f"P{process.index} claims", log.number, process._replace(chain=taken), (("claims", 1),))
            return
        envelope = self.rule.claim_envelope(chain, writer)
        yield self._sent(log, process._replace(chain=known), Phase.CLAIM, envelope, "claims")

    def _write(self, log: Log, process: Process) -> Iterator[Move]:
        chain = self.world.chains[process.chain]
        if process.failed or chain.head.writer != self.writer(process.index):
            return
        number = chain.head.highest + 1
        envelope = self.rule.events_envelope(chain, number, b"")
        yield self._sent(log, process, Phase.EVENTS, envelope, "writes")

    def _delete(self, log: Log, process: Process) -> Iterator[Move]:
        known = self._refreshed(log, process)
        if isinstance(known, Move):
            yield known
            return
        chain = self.world.chains[known]
        for to in sorted({1, chain.head.highest}):
            if chain.head.floor < to <= chain.head.highest:
                plan = self._plan(log, chain, to)
                if isinstance(plan, Move):
                    continue
                floor, cut = plan
                self._check_floor(log, to, floor)
                envelope = self.rule.delete_envelope(chain, bytes([16 + process.index]) * 16, floor)
                sent = process._replace(chain=known, cut=cut)
                yield self._sent(log, sent, Phase.DELETE, envelope, "deletes")

    def _plan(self, log: Log, chain: Chain, to: int) -> tuple[int, int] | Move:
        if to >= chain.head.highest:
            cut = self.rule.plan_cut(to, chain.head.highest, ())
        else:
            reading = self.world.read(self.world.nothing, log, chain.head.offset + 1)
            if not isinstance(reading, Reading):
                return Move("", log.number, Process(0, 0))  # the deletion fails, nothing was sent
            pairs = [(offset, self.world.records[log.records[offset]][0]) for offset in reading.counted]
            lost_to = self.world.chains[reading.chain].lost_to
            cut = self.rule.plan_cut(to, chain.head.highest, pairs, lost_to)
        return cut.floor, -1 if cut.offset is None else cut.offset

    def _sent(self, log: Log, process: Process, phase: Phase, envelope: Envelope, budget: str) -> Move:
        record = self.world.record(envelope, (process.index, process.attempts))
        label = f"P{process.index} {phase.name.lower()} {envelope.state.first or ''}".rstrip()
        return Move(label, log.number, process._replace(phase=phase, record=record), ((budget, 1),))

    def _refreshed(self, log: Log, process: Process) -> int | Move:
        reading = self.world.read(process.chain, log)
        return reading.chain if isinstance(reading, Reading) else self._ended(log, process, reading)

    def _ended(self, log: Log, process: Process, failure: Failure) -> Move:
        if not log.damage:
            raise Violation(f"P{process.index} meets {failure.__name__} though nothing was damaged")
        ended = Process(process.index, self.world.nothing, Phase.ENDED)
        return Move(f"P{process.index} raises {failure.__name__}", log.number, ended)

    # --- learning --------------------------------------------------------------------------------------------------

    def _learn(self, log: Log, process: Process, offset: int | None) -> Iterator[Move]:
        """The answer came: the record is at `offset`, or somewhere."""
        chain = self.world.chains[process.chain]
        verdict = self.rule.verdict(chain, offset)
        if offset is not None and offset < chain.position and verdict is not Verdict.TRUNCATED:
            raise Violation(f"P{process.index} was told offset {offset}, has seen {chain.position - 1}, and goes on")
        if verdict is Verdict.TRUNCATED:
            yield self._ended(log, process, PersistenceError)
        elif offset is not None and (verdict is Verdict.COUNTS or not self.rule.reads_gap):
            envelope = self.world.records[process.record][0]
            known = self.world.chain(_advanced(chain, offset, envelope))
            yield from self._knows(log, process._replace(chain=known), offset)
        elif self.rule.reads_gap:
            yield from self._read_gap(log, process, chain, offset)

    def _read_gap(self, log: Log, process: Process, before: Chain, offset: int | None) -> Iterator[Move]:
        behind = self.world.chain(before.behind_head) if self.rule.reads_again else process.chain
        reading = self.world.read(behind, log, None if offset is None else offset + 1)
        if not isinstance(reading, Reading):
            yield self._ended(log, process, reading)
            return
        own = [place for place in reading.counted if log.records[place] == process.record]
        where: int | None = own[0] if own else None
        chain = self.world.chains[reading.chain]
        if where is None and chain.base is not None and chain.base != before.base:
            try:
                survived = self.rule.survived_cut(chain.head, self.world.records[process.record][0])
            except PersistenceError:
                yield Move(
                    f"P{process.index} cannot know",
                    log.number,
                    Process(
                        process.index, reading.chain, failed=True, attempts=process.attempts + 1, misled=process.misled
                    ),
                )
                return
            where = CUT_OFF if survived else None
        yield from self._knows(log, process._replace(chain=reading.chain), where)

    def _knows(self, log: Log, process: Process, where: int | None) -> Iterator[Move]:
        """It believes that its record counts at `where`, or (None) that it does not and never will."""
        self._check_belief(log, process, where)
        free = process._replace(phase=Phase.FREE, record=-1, cut=-1)
        label = f"P{process.index} {'stored' if where is not None else 'refused'}"
        if process.phase is Phase.EVENTS and where is None:
            yield self._fenced_or_again(log, free, process, label)
        elif process.phase is Phase.CLAIM and where is not None:
            yield Move(label, log.number, free._replace(failed=False))
        elif process.phase is Phase.DELETE and where is not None:
            yield self._deleted(log, free, process, where)
        elif process.phase is Phase.CONFIRM:
            head = self.world.chains[process.chain].head.offset
            yield Move(label, log.number, free, (("cut", process.cut),) if head > process.cut else ())
        else:
            yield Move(label, log.number, free)

    def _fenced_or_again(self, log: Log, free: Process, process: Process, label: str) -> Move:
        """A writer that only a deletion came between sends its events again; any other is fenced."""
        chain = self.world.chains[process.chain]
        sent = self.world.records[process.record][0]
        again = chain.head.writer == sent.writer and chain.head.epoch == sent.epoch
        if not again or sent.state.first <= chain.head.highest:
            if again and not self._misuse:
                raise Violation("a live writer's number was used by somebody else")
            return Move(f"{label}, fenced", log.number, free)
        envelope = self.rule.events_envelope(chain, sent.state.last, b"")
        record = self.world.record(envelope, (process.index, process.attempts))
        return Move(f"{label}, sent again", log.number, process._replace(record=record))

    def _deleted(self, log: Log, free: Process, process: Process, where: int) -> Move:
        label, shift = f"P{process.index} deleted", self.rule.cut_shift
        head = self.world.chains[process.chain].head
        if process.cut >= 0:
            return Move(label, log.number, free, (("cut", process.cut + shift),))
        if self.rule.cuts_at_head:
            return Move(label, log.number, free, (("cut", head.offset),))
        if where == CUT_OFF:
            return Move(label, log.number, free)
        if head.offset > where or not self.rule.confirms:
            return Move(label, log.number, free, (("cut", where + shift),))
        chain = self.world.chains[process.chain]
        envelope = self.rule.delete_envelope(chain, bytes([16 + process.index]) * 16, head.floor)
        record = self.world.record(envelope, (process.index, process.attempts))
        return Move(label, log.number, process._replace(phase=Phase.CONFIRM, record=record, cut=where + shift))

    # --- the invariants about what a process believes ------------------------------------------------------------------

    def _check_knowledge(self, log: Log, process: Process) -> None:
        """All readers agree, also those that read bit by bit; one that saw what is lost says so while it can know."""
        if process.phase is Phase.ENDED:
            return
        known = self.world.chains[process.chain]
        reading = self.world.read(process.chain, log)
        if process.misled:
            if log.end < known.position and isinstance(reading, Reading):
                raise Violation(
                    f"P{process.index} has seen offset {known.position - 1}, and reads a log that ends before"
                )
            return
        self.world.check_reading(log, reading, known.position - 1, f"P{process.index}")

    def _check_floor(self, log: Log, to: int, floor: int) -> None:
        """I1: a deletion hides nothing that it was not asked to hide, not even what is already lost."""
        for offset in log.heads:
            envelope = self.world.records[log.records[offset]][0]
            if envelope.kind is Kind.EVENTS and to < envelope.state.last <= floor:
                raise Violation(f"a deletion up to {to} hides event {envelope.state.last}")

    def misled_by(self, process: Process, end: int) -> Process:
        """The process after the broker lost what stood at `end` and above."""
        seen = self.world.chains[process.chain].position
        return process._replace(misled=process.misled or (seen > end and process.phase is not Phase.ENDED))

    def _check_belief(self, log: Log, process: Process, where: int | None) -> None:
        """I1, I5, I6: a stored record counts, and one that was refused does not, now and forever."""
        if not isinstance(log.truth, Chain) or log.fresh_failure is not None:
            return  # damage that every reader reports
        envelope, head = self.world.records[process.record][0], log.truth.head
        counts = any(log.records[offset] == process.record for offset in log.heads)
        deleted = envelope.kind is Kind.DELETE and head.floor >= envelope.state.floor
        if envelope.kind is not Kind.EVENTS and (log.damage & TRUNCATED or self._misuse):
            return  # its first events will tell, to everybody; and a claim by the same uuid is as good
        if process.misled and len(set(log.records)) < len(log.records):
            return  # a copy of another record took the place of what was lost: docs/chain.md, "What cannot be known"
        if where is not None and not counts and not (where == CUT_OFF and deleted):
            raise Violation(f"P{process.index} was told that its {envelope.kind.name} is stored, and it does not count")
        if where is None and not log.damage and (counts or envelope.prev_offset >= head.offset):
            raise Violation(
                f"P{process.index} was told that its {envelope.kind.name} is not stored, and it (still) counts"
            )


def _held_by(chain: Chain, writer: bytes) -> Chain:
    import attrs

    return attrs.evolve(chain, head=attrs.evolve(chain.head, writer=writer))


def _advanced(chain: Chain, offset: int, envelope: Envelope) -> Chain:
    from kafka_persist._core.chain import advance

    return advance(chain, offset, envelope)


def initial(world: World, count: int) -> Iterable[Process]:
    """Processes that know nothing yet."""
    return [Process(index, world.nothing) for index in range(count)]
