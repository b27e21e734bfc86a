"""What one process can do next, and what it then tells its callers.

The protocol is that of `kafka_persist._shared`: one record in flight, which holds the waiting writes and deletions of all ids. What
became of a record without an answer the owner settles; who does not own the log deletes with a record of its own. Cleaning goes
step by step, with other records between any two of them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Final, NamedTuple

import attrs

from kafka_persist._core import chain as rule
from kafka_persist._core.chain import Verdict
from kafka_persist._core.envelope import Envelope
from kafka_persist._core.items import Item, Marker, Run, State
from kafka_persist.errors import PersistenceError

from .world import IDS, Failure, Known, Log, Stored, Violation, World, run_of, state_of

A, B = IDS


class Phase(enum.IntEnum):
    """What a process waits for."""

    FREE = 0
    CLAIM = 1
    EVENTS = 2
    DELETE = 3
    SETTLE = 4
    ENDED = 5


class Stage(enum.IntEnum):
    """How far its cleaning is."""

    NONE = 0
    READ = 1
    CARRIED = 2
    MARKED = 3


class Process(NamedTuple):
    """One process.

    Attributes:
        index: which one.
        known: what it knows; a number in `World.known`.
        owner: as whom it claimed the log last; b"" if it did not.
        phase: what it waits for.
        record: its record in flight, or the one that is being settled; -1 for none.
        after: how far its cleaning is when that record counts.
        stage: how far its cleaning is.
        cut: to where it wants to cut the log.
        alive: what was alive below, when it read that: offsets and items.
        sent: how many records it has sent that nobody else may have equal ones of.
    """

    index: int  # type: ignore[assignment]  # a field of this record, not the tuple's method
    known: int
    owner: bytes = b""
    phase: Phase = Phase.FREE
    record: int = -1
    after: Stage = Stage.NONE
    stage: Stage = Stage.NONE
    cut: int = -1
    alive: tuple[tuple[int, Item], ...] = ()
    sent: int = 0


Effects = tuple[tuple[str, int], ...]


class Move(NamedTuple):
    """One step of a process: the log and the process behind it, and what else changes."""

    label: str
    log: int
    process: Process
    effects: Effects = ()


WRITES: Final = ((A,), (B,), (A, B))
"""Whose writes stand in one record."""


class Moves:
    """The moves of processes in one world.

    Args:
        world: theirs.
        stepwise: something can happen between sending a record and its answer.
    """

    def __init__(self, world: World, *, stepwise: bool = True) -> None:
        self.world = world
        self._stepwise = stepwise
        self.protocol = world.protocol

    def of(self, log: Log, process: Process) -> Iterator[Move]:
        """Everything that a process can do next."""
        if process.phase is Phase.ENDED:
            return
        self._check_knowledge(log, process)
        if process.phase is Phase.FREE:
            yield from self._claim(log, process)
            if self._owns(process):
                yield from self._store(log, process)
                yield from self._read_oldest(log, process)
            else:
                yield from self._delete(log, process)
            yield from self._clean(log, process)
        elif process.phase is Phase.SETTLE:
            yield from self._settle(log, process)
        else:
            yield from self._wait(log, process)
        yield from self._restart(log, process)

    def _known(self, process: Process) -> Known:
        return self.world.known[process.known]

    def _owns(self, process: Process) -> bool:
        return bool(process.owner) and self._known(process).chain.head.writer == process.owner

    def _check_knowledge(self, log: Log, process: Process) -> None:
        """What a process that has read to the end knows is what a reader of the whole log finds."""
        known = self._known(process)
        if isinstance(log.truth, int) and not log.damaged and known.chain.position == log.end:
            self.world.check_reading(log, process.known, f"P{process.index}")

    def _refreshed(self, log: Log, process: Process) -> Process | Move:
        reading = self.world.read(process.known, log)
        return process._replace(known=reading) if isinstance(reading, int) else self._ended(log, process, reading)

    def _ended(self, log: Log, process: Process, failure: Failure) -> Move:
        if not log.damaged:
            raise Violation(f"P{process.index} meets {failure.__name__} though nothing was damaged")
        ended = Process(process.index, self.world.nothing, phase=Phase.ENDED)
        return Move(f"P{process.index} raises {failure.__name__}", log.number, ended)

    # --- sending ---------------------------------------------------------------------------------------------------

    def _claim(self, log: Log, process: Process) -> Iterator[Move]:
        refreshed = self._refreshed(log, process)
        if isinstance(refreshed, Move):
            yield refreshed
            return
        chain = self._known(refreshed).chain
        owner = bytes([process.index + 1]) * 8 + bytes([process.sent + 1]) * 8
        if not self.protocol.claims:  # a mistake: takes over without a record
            held = attrs.evolve(chain, head=attrs.evolve(chain.head, writer=owner, epoch=chain.head.epoch + 1))
            known = self.world.number_of(self._known(refreshed)._replace(chain=held))
            yield Move(
                f"P{process.index} takes over",
                log.number,
                refreshed._replace(known=known, owner=owner, sent=process.sent + 1),
                (("claims", 1),),
            )
            return
        yield from self._send(log, refreshed, Phase.CLAIM, rule.claim_envelope(chain, owner), (), "claims")

    def _store(self, log: Log, process: Process) -> Iterator[Move]:
        """Writes of one or both ids, or a deletion, alone or with a write of the other one."""
        known = self._known(process)
        writes = {name: run_of(name, process.owner, known.state(name).highest + 1) for name in IDS}
        for names in WRITES:
            yield from self._send_items(log, process, tuple(writes[name] for name in names), "writes")
        state = known.state(A)
        if state.highest > state.floor:
            for items in ((state_of(A, state),), (state_of(A, state), writes[B])):
                yield from self._send_items(log, process, items, "deletes")

    def _delete(self, log: Log, process: Process) -> Iterator[Move]:
        """A deletion by somebody who does not own the log."""
        refreshed = self._refreshed(log, process)
        if isinstance(refreshed, Move):
            yield refreshed
            return
        known = self._known(refreshed)
        state = known.state(A)
        if state.highest > state.floor and not self._owns(refreshed):
            envelope = rule.delete_envelope(known.chain, _author(process), known.chain.head.floor)
            yield from self._send(log, refreshed, Phase.DELETE, envelope, (state_of(A, state),), "deletes")

    def _send_items(
        self, log: Log, process: Process, items: tuple[Item, ...], budget: str, after: Stage | None = None
    ) -> Iterator[Move]:
        chain = self._known(process).chain
        envelope = rule.events_envelope(chain, chain.head.highest + len(items), b"")
        waiting = process._replace(after=process.stage if after is None else after)
        yield from self._send(log, waiting, Phase.EVENTS, envelope, items, budget)

    def _send(
        self, log: Log, process: Process, phase: Phase, envelope: Envelope, items: tuple[Item, ...], budget: str
    ) -> Iterator[Move]:
        """Hand a record over; with the answer as one step, too."""
        record = self.world.record(Stored(envelope, items, (process.index, process.sent)))
        waiting = process._replace(phase=phase, record=record, sent=process.sent + 1)
        effects: Effects = ((budget, 1),) if budget else ()
        label = f"P{process.index} {phase.name.lower()} {' '.join(map(_told, items))}".rstrip()
        if self._stepwise:
            yield Move(label, log.number, waiting, effects)
        landed = self.world.logs[self.world.append(log, record)]
        for learnt in self._learn(landed, waiting, landed.end - 1):
            yield Move(f"{label}!", learnt.log, learnt.process, effects + learnt.effects)

    # --- waiting ---------------------------------------------------------------------------------------------------

    def _wait(self, log: Log, process: Process) -> Iterator[Move]:
        places = [offset for offset, record in enumerate(log.records) if record == process.record]
        if not places:
            yield Move(f"P{process.index} lands", self.world.append(log, process.record), process)
        for offset in places:
            yield from self._learn(log, process, offset)
        if places:
            yield from self._learn(log, process, None)
        late: Effects = () if places else (("late", process.record),)
        unanswered = process
        if process.phase is not Phase.EVENTS:
            unanswered = process._replace(record=-1)
        phase = Phase.SETTLE if process.phase is Phase.EVENTS else Phase.FREE
        yield Move(
            f"P{process.index} waits no longer", log.number, unanswered._replace(phase=phase), (("timeouts", 1), *late)
        )

    def _learn(self, log: Log, process: Process, offset: int | None) -> Iterator[Move]:
        """The answer came: the record is at `offset`, or somewhere."""
        known = self._known(process)
        verdict = self.protocol.verdict(known.chain, offset)
        if verdict is Verdict.TRUNCATED:
            yield self._ended(log, process, PersistenceError)
        elif offset is not None and (verdict is Verdict.COUNTS or not self.protocol.reads_gap):
            envelope = self.world.records[process.record].envelope
            try:
                taken = self.world.take(
                    process.known, rule.advance(known.chain, offset, envelope), offset, process.record
                )
            except PersistenceError as error:
                yield self._ended(log, process, type(error))
                return
            yield self._counts(log, process._replace(known=taken))
        else:
            yield self._after_reading(log, process, None if offset is None else offset + 1)

    def _after_reading(self, log: Log, process: Process, stop: int | None) -> Move:
        """Judge what stands behind the head: the record counts, or it does not and never will."""
        head = self._known(process).chain.head.offset
        found = self._read_behind_head(log, process, stop)
        if isinstance(found, Move):
            return found
        end = log.end if stop is None else stop
        if any(head < offset < end and log.records[offset] == process.record for offset in log.counted):
            return self._counts(log, found)
        return self._does_not_count(log, found)

    def _read_behind_head(self, log: Log, process: Process, stop: int | None) -> Process | Move:
        known = self._known(process)
        behind = self.world.number_of(known._replace(chain=known.chain.behind_head))
        reading = self.world.read(behind, log, stop)
        return process._replace(known=reading) if isinstance(reading, int) else self._ended(log, process, reading)

    def _counts(self, log: Log, process: Process) -> Move:
        stored = self.world.records[process.record]
        free = process._replace(phase=Phase.FREE, record=-1, after=Stage.NONE)
        effects: Effects = ()
        if process.phase is Phase.CLAIM:
            free = free._replace(owner=stored.envelope.writer)
        else:
            effects = (("stored", process.record),)
            free = free._replace(stage=free.stage if process.phase is Phase.DELETE else process.after)
        return Move(f"P{process.index} is told: stored", log.number, free, effects)

    def _does_not_count(self, log: Log, process: Process) -> Move:
        """Its writes are not stored; they go out again, which is another record, or are refused."""
        free = process._replace(phase=Phase.FREE, record=-1, after=Stage.NONE)
        if not self._owns(free) and free.stage is not Stage.MARKED:
            free = free._replace(stage=Stage.NONE, cut=-1, alive=())
        return Move(f"P{process.index} is told: not stored", log.number, free, (("refused", process.record),))

    def _settle(self, log: Log, process: Process) -> Iterator[Move]:
        """Find out what became of a record without an answer."""
        envelope = self.world.records[process.record].envelope
        head = self._known(process).chain.head.offset
        found = self._read_behind_head(log, process, None)
        if isinstance(found, Move):
            yield found
            return
        chain = self._known(found).chain
        if any(offset > head and log.records[offset] == process.record for offset in log.counted):
            yield self._counts(log, found)
        elif (chain.head.offset, chain.head.author) != (
            envelope.prev_offset,
            envelope.prev_author,
        ) or not self.protocol.fences:
            yield self._does_not_count(log, found)
        else:
            fence = rule.delete_envelope(chain, _author(process), chain.head.floor)
            record = self.world.record(Stored(fence, (), (process.index, process.sent)))
            sent = found._replace(sent=process.sent + 1)
            landed = self.world.logs[self.world.append(log, record)]
            yield self._after_reading(landed, sent, None)
            yield Move(f"P{process.index} fences late", log.number, sent, (("timeouts", 1), ("late", record)))

    def _restart(self, log: Log, process: Process) -> Iterator[Move]:
        """It dies, and begins again with the index that it had, or without."""
        late: Effects = ()
        if process.record >= 0 and process.phase is not Phase.SETTLE and process.record not in log.records:
            late = (("late", process.record),)
        for known in {self.world.nothing, self.world.restart(process.known, log)}:
            again = Process(process.index, known, sent=process.sent)
            reading = self.world.read(known, log)
            self.world.check_reading(log, reading, f"P{process.index}, which starts again,")
            if again != process:
                yield Move(f"P{process.index} starts again", log.number, again, (("restarts", 1), *late))

    # --- cleaning --------------------------------------------------------------------------------------------------

    def _read_oldest(self, log: Log, process: Process) -> Iterator[Move]:
        """Look what is alive below some record that counts and is not the head."""
        if process.stage is not Stage.NONE:
            return
        head = self._known(process).chain.head.offset
        for cut in log.counted:
            if log.start < cut < head:
                below = [offset for offset in log.counted if log.start <= offset < cut]
                pairs = tuple(
                    (offset, item) for offset in below for item in self.world.records[log.records[offset]].items
                )
                begun = process._replace(stage=Stage.READ, cut=cut, alive=self._still_alive(process, pairs))
                yield Move(f"P{process.index} reads below {cut}", log.number, begun, (("cleanings", 1),))

    def _still_alive(self, process: Process, pairs: tuple[tuple[int, Item], ...]) -> tuple[tuple[int, Item], ...]:
        index = self.world.thaw(self._known(process))
        return tuple((offset, item) for offset, item in pairs if index.still_alive(item, offset) is not None)

    def _clean(self, log: Log, process: Process) -> Iterator[Move]:
        if process.stage is Stage.MARKED:
            done = process._replace(stage=Stage.NONE, cut=-1, alive=())
            yield Move(f"P{process.index} cuts", log.number, done, (("cut", process.cut + self.protocol.cut_shift),))
        elif process.stage is not Stage.NONE and self._owns(process):
            if process.stage is Stage.READ:
                items = self._carried(process)
                if items:
                    yield from self._send_items(log, process, items, "", Stage.CARRIED)
                else:
                    yield Move(f"P{process.index} carries nothing", log.number, process._replace(stage=Stage.CARRIED))
            elif self.protocol.marks:
                marker = Marker(*self._known(process).counts)
                yield from self._send_items(log, process, (marker,), "", Stage.MARKED)
            else:
                yield Move(f"P{process.index} marks nothing", log.number, process._replace(stage=Stage.MARKED))

    def _carried(self, process: Process) -> tuple[Item, ...]:
        index, found = self.world.thaw(self._known(process)), list[Item]()
        for offset, item in process.alive:
            if isinstance(item, Run) and not self.protocol.carries_runs:
                continue
            if isinstance(item, State) and not self.protocol.carries_states:
                continue
            alive = index.still_alive(item, offset)
            if not self.protocol.asks_again and isinstance(item, Run):
                alive = item._replace(carried=True)
            if alive is not None:
                found.append(alive)
        return tuple(found)


def _author(process: Process) -> bytes:
    return bytes([16 + process.index]) * 8 + bytes([process.sent + 1]) * 8


def _told(item: Item) -> str:
    match item:
        case Run(name, _, first, _, _, carried):
            return f"{name}{first}{' carried' * carried}"
        case State(name, highest, floor):
            return f"{name} deleted to {floor} of {highest}"
        case _:
            return "marker"
