"""Breadth first over everything that can happen, up to a number of steps or of states.

A state is the log, each process, and the rest: budgets, records that may still land, cuts that were asked for, and what callers
were told. Each part has a number. A process's moves depend on the log and on itself alone, and are worked out once for each such pair.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import attrs

from kafka_persist._core.items import State as Deleted
from lab.search.command import Found

from .process import Effects, Moves, Process
from .protocol import Protocol
from .world import Log, Violation, World


class Rest(NamedTuple):
    """What is neither the log nor a process.

    Attributes:
        left: what may still happen, by its budget.
        late: records that may land at any time.
        cuts: offsets that may be cut to at any time.
        stored: records whose callers were told "stored".
        refused: records whose callers were told "not stored".
    """

    left: tuple[tuple[str, int], ...]
    late: frozenset[int] = frozenset()
    cuts: frozenset[int] = frozenset()
    stored: frozenset[int] = frozenset()
    refused: frozenset[int] = frozenset()

    def after(self, effects: Effects) -> Rest | None:
        """Behind some effects; None if a budget does not allow them."""
        left, rest = dict(self.left), self
        for name, value in effects:
            if name == "late":
                rest = rest._replace(late=rest.late | {value})
            elif name == "landed":
                rest = rest._replace(late=rest.late - {value})
            elif name == "cut":
                rest = rest._replace(cuts=rest.cuts | {value})
            elif name == "done":
                rest = rest._replace(cuts=rest.cuts - {value})
            elif name == "stored":
                rest = rest._replace(stored=rest.stored | {value})
            elif name == "refused":
                rest = rest._replace(refused=rest.refused | {value})
            else:
                left[name] -= value
                if left[name] < 0:
                    return None
        return rest._replace(left=tuple(left.items()))


@attrs.frozen(kw_only=True)
class Profile:
    """What is searched.

    Attributes:
        processes: how many.
        steps: moves at most.
        claims: claims at most; so for the others.
        writes: records with writes.
        deletes: records with deletions.
        cleanings: passes of cleaning.
        timeouts: answers that are not waited for.
        restarts: deaths of processes.
        repeats: records that land once more.
        truncations: tails that the broker loses.
        states: an end before the steps are exhausted; None for none.
    """

    processes: int = 2
    steps: int = 12
    claims: int = 2
    writes: int = 2
    deletes: int = 1
    cleanings: int = 0
    timeouts: int = 0
    restarts: int = 0
    repeats: int = 0
    truncations: int = 0
    states: int | None = None

    @property
    def budgets(self) -> tuple[tuple[str, int], ...]:
        """What may happen, how often."""
        names = ("claims", "writes", "deletes", "cleanings", "timeouts", "restarts", "repeats", "truncations")
        return tuple((name, getattr(self, name)) for name in names)


State = tuple[int, ...]
"""The numbers of the log, the rest and each process."""


class Search:
    """One search.

    Args:
        profile: how far.
        protocol: what.
        trace: remember the way to each state, which takes much memory.
    """

    def __init__(self, profile: Profile, protocol: Protocol | None = None, *, trace: bool = False) -> None:
        self.profile = profile
        self.world = World(protocol or Protocol())
        self.moves = Moves(self.world, stepwise=profile.processes > 1 or profile.timeouts + profile.restarts > 0)
        self._processes: list[Process] = []
        self._process_numbers: dict[Process, int] = {}
        self._rests: list[Rest] = []
        self._rest_numbers: dict[Rest, int] = {}
        self._moves_of: dict[tuple[int, int], list[tuple[int, int, Effects, str]]] = {}
        self._after: dict[tuple[int, Effects], int] = {}
        self._kept: set[tuple[int, int]] = set()
        self._parents: dict[State, tuple[State, str]] | None = {} if trace else None

    def run(self) -> Found:
        """Search until everything within the profile was seen, or a promise is broken."""
        started = time.monotonic()
        processes = [
            self._process_number(Process(index, self.world.nothing)) for index in range(self.profile.processes)
        ]
        first = (self.world.empty, self._rest_number(Rest(self.profile.budgets)), *processes)
        seen, frontier, steps = {first}, [first], 0
        violation: str | None = None
        path: tuple[str, ...] = ()
        try:
            while frontier and steps < self.profile.steps and len(seen) < (self.profile.states or 1 << 60):
                frontier = self._step(frontier, seen)
                steps += 1
        except _Broken as broken:
            violation, path = broken.text, self._path(broken.state)
        return Found(len(seen), steps, len(self.world.logs), time.monotonic() - started, violation, path)

    def _step(self, frontier: list[State], seen: set[State]) -> list[State]:
        following: list[State] = []
        limit = self.profile.states or 1 << 60
        for state in frontier:
            try:
                for after, label in self._behind(state):
                    if after not in seen:
                        seen.add(after)
                        following.append(after)
                        if self._parents is not None:
                            self._parents[after] = state, label
                        self._check_promises(after[0], after[1])
            except Violation as violation:
                raise _Broken(str(violation), state) from None
            if len(seen) >= limit:
                break
        return following

    def _behind(self, state: State) -> list[tuple[State, str]]:
        log, rest, *processes = state
        found: list[tuple[State, str]] = []
        for place, process in enumerate(processes):
            for log_after, process_after, effects, label in self._of(log, process):
                rest_after = self._rest_after(rest, effects)
                if rest_after >= 0:
                    others = (*processes[:place], process_after, *processes[place + 1 :])
                    found.append(((log_after, rest_after, *others), label))
        for log_after, effects, label in self._by_the_broker(log, rest):
            rest_after = self._rest_after(rest, effects)
            if rest_after >= 0:
                found.append(((log_after, rest_after, *processes), label))
        return found

    def _of(self, log: int, process: int) -> list[tuple[int, int, Effects, str]]:
        found = self._moves_of.get((log, process))
        if found is None:
            found = self._moves_of[log, process] = [
                (move.log, self._process_number(move.process), move.effects, move.label)
                for move in self.moves.of(self.world.logs[log], self._processes[process])
            ]
        return found

    def _by_the_broker(self, number: int, rest_number: int) -> list[tuple[int, Effects, str]]:
        log, rest, world = self.world.logs[number], self._rests[rest_number], self.world
        found: list[tuple[int, Effects, str]] = [
            (world.append(log, record), (("landed", record),), f"record {record} lands late") for record in rest.late
        ]
        left = dict(rest.left)
        if left["repeats"]:
            found += [
                (world.append(log, record), (("repeats", 1),), f"record {record} lands again")
                for record in dict.fromkeys(log.records)
            ]
        found += [
            (world.cut(log, offset), (("done", offset),), f"cut to {offset}")
            for offset in rest.cuts
            if offset <= log.end
        ]
        if left["truncations"]:
            found += [
                (world.truncate(log, end), (("truncations", 1),), f"tail lost from {end}")
                for end in range(log.start, log.end)
            ]
        return found

    def _check_promises(self, number: int, rest_number: int) -> None:
        """What callers were told stays true, whatever lands later."""
        log = self.world.logs[number]
        if (number, rest_number) in self._kept or log.damaged:
            return
        self._kept.add((number, rest_number))
        rest = self._rests[rest_number]
        for record in rest.stored:
            if not log.counts(record):
                raise Violation(f"record {record} was called stored, and does not count")
            self._check_deletions(log, record)
        for record in rest.refused:
            if log.counts(record):
                raise Violation(f"record {record} was called not stored, and counts")

    def _check_deletions(self, log: Log, record: int) -> None:
        assert isinstance(log.truth, int)
        known = self.world.known[log.truth]
        for item in self.world.records[record].items:
            if isinstance(item, Deleted) and known.state(item.persistence_id).floor < item.floor:
                raise Violation(f"{item.persistence_id} was deleted to {item.floor}, and is back")

    # --- numbers -------------------------------------------------------------------------------------------------

    def _process_number(self, process: Process) -> int:
        found = self._process_numbers.get(process)
        if found is None:
            found = self._process_numbers[process] = len(self._processes)
            self._processes.append(process)
        return found

    def _rest_number(self, rest: Rest) -> int:
        found = self._rest_numbers.get(rest)
        if found is None:
            found = self._rest_numbers[rest] = len(self._rests)
            self._rests.append(rest)
        return found

    def _rest_after(self, rest: int, effects: Effects) -> int:
        if not effects:
            return rest
        found = self._after.get((rest, effects))
        if found is None:
            after = self._rests[rest].after(effects)
            found = self._after[rest, effects] = -1 if after is None else self._rest_number(after)
        return found

    def _path(self, state: State) -> tuple[str, ...]:
        path: list[str] = []
        while self._parents is not None and state in self._parents:
            state, label = self._parents[state]
            path.append(label)
        return tuple(reversed(path))


class _Broken(Exception):  # noqa: N818 - carries a violation out of the inner loops
    def __init__(self, text: str, state: State) -> None:
        super().__init__(text)
        self.text = text
        self.state = state
