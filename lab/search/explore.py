"""Breadth first over everything that can happen, up to a number of steps.

A state is the log, what each process knows and waits for, and the rest: budgets, records that may still land, cuts that
were asked for. Each part has a number, and a state is one integer of them, so the set of states met is exact and compact. A process's
moves depend on the log and on itself alone, so they are worked out (and checked) once for each such pair.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

import attrs

from .command import Found
from .process import Moves, Process, initial
from .rule import Rule
from .world import FOREIGN_CUT, Violation, World

_BITS: Final = 22
_MASK: Final = (1 << _BITS) - 1


@attrs.frozen(kw_only=True)
class Profile:
    """What is searched.

    Attributes:
        writers: processes.
        steps: moves at most.
        claims: claims at most; so for the others.
        writes: atomic writes.
        deletes: deletions; each asks for one cut at most.
        timeouts: answers that a process does not wait for.
        repeats: records that land once more.
        foreign_cuts: cuts by retention or somebody else.
        truncations: tails that the broker loses.
        misuse: the first two processes have the same uuid.
        states: an end before the steps are exhausted; None for none.
    """

    writers: int = 3
    steps: int = 12
    claims: int = 3
    writes: int = 3
    deletes: int = 2
    timeouts: int = 1
    repeats: int = 1
    foreign_cuts: int = 0
    truncations: int = 0
    misuse: bool = False
    states: int | None = None


@attrs.frozen
class Rest:
    """What belongs to no process.

    Attributes:
        budget: how often each thing may still happen.
        late: records without an answer that have not landed, ascending.
        cuts: cuts that were asked for and have not happened, ascending.
    """

    budget: tuple[tuple[str, int], ...]
    late: tuple[int, ...] = ()
    cuts: tuple[int, ...] = ()

    def after(self, effects: tuple[tuple[str, int], ...]) -> Rest | None:
        """The rest behind a move; None if a budget does not allow it."""
        budget, late, cuts = dict(self.budget), self.late, self.cuts
        for name, value in effects:
            if name == "late":
                late = tuple(sorted((*late, value)))
            elif name == "landed":
                late = _without(late, value)
            elif name == "cut":
                cuts = tuple(sorted((*cuts, value)))
            elif name == "done":
                cuts = _without(cuts, value)
            elif budget[name] < value:
                return None
            else:
                budget[name] -= value
        return Rest(tuple(budget.items()), late, cuts)


def _without(values: tuple[int, ...], value: int) -> tuple[int, ...]:
    place = values.index(value)
    return values[:place] + values[place + 1 :]


class Search:
    """One search; `run` it once."""

    def __init__(self, profile: Profile, rule: Rule | None = None, *, trace: bool = False) -> None:
        self.profile = profile
        self.world = World(rule or Rule())
        self._moves = Moves(self.world, misuse=profile.misuse)
        self._processes: list[Process] = []
        self._process_numbers: dict[Process, int] = {}
        self._rests: list[Rest] = []
        self._rest_numbers: dict[Rest, int] = {}
        self._effects: list[tuple[tuple[str, int], ...]] = []
        self._effect_numbers: dict[tuple[tuple[str, int], ...], int] = {}
        self._of_process: dict[int, list[tuple[int, int, int, str]]] = {}
        self._of_log: dict[int, list[tuple[int, int, str, int | None]]] = {}
        self._after: dict[int, int] = {}
        self._parents: dict[int, tuple[int, str]] | None = {} if trace else None

    def run(self, progress: Callable[[int, int], None] | None = None) -> Found:
        """Search; `progress` is called behind each step with the number of states met."""
        started = time.monotonic()
        first = self._first()
        seen, frontier = {first}, [first]
        step = 0
        try:
            while frontier and step < self.profile.steps:
                frontier = self._step(frontier, seen)
                if self.profile.states is not None and len(seen) >= self.profile.states:
                    break
                step += 1
                if progress is not None:
                    progress(step, len(seen))
        except _Found as found:
            path = (*self._path(found.state), *found.last)
            return self._result(seen, step, started, found.text, path)
        return self._result(seen, step, started)

    def _result(
        self, seen: set[int], step: int, started: float, violation: str | None = None, path: tuple[str, ...] = ()
    ) -> Found:
        return Found(len(seen), step, len(self.world.logs), time.monotonic() - started, violation, path)

    def _first(self) -> int:
        profile = self.profile
        budget = {
            "claims": profile.claims,
            "writes": profile.writes,
            "deletes": profile.deletes,
            "timeouts": profile.timeouts,
            "repeats": profile.repeats,
            "foreign": profile.foreign_cuts,
            "truncations": profile.truncations,
        }
        state = self._number_of_rest(Rest(tuple(budget.items())))
        state = state << _BITS | self.world.empty
        for process in initial(self.world, profile.writers):
            state = state << _BITS | self._number_of(process)
        return state

    # --- one step ----------------------------------------------------------------------------------------------------

    def _step(self, frontier: list[int], seen: set[int]) -> list[int]:
        """All states one step away that were not met before."""
        new: list[int] = []
        add, append, limit = seen.add, new.append, self.profile.states
        writers = self.profile.writers
        shifts = [_BITS * (writers - 1 - index) for index in range(writers)]
        log_shift, rest_shift = _BITS * writers, _BITS * (writers + 1)
        of_process, after, parents = self._of_process, self._after, self._parents
        for state in frontier:
            log, rest = state >> log_shift & _MASK, state >> rest_shift
            for index in range(writers):
                number = state >> shifts[index] & _MASK
                key = log << _BITS | number
                moves = of_process.get(key)
                if moves is None:
                    moves = self._work_out(key, log, number, state)
                kept = state & ~(_MASK << shifts[index] | _MASK << log_shift) & ((1 << rest_shift) - 1)
                for next_log, next_number, effects, label in moves:
                    rest_key = rest << _BITS | effects
                    next_rest = after.get(rest_key)
                    if next_rest is None:
                        next_rest = self._rest_after(rest_key, rest, effects)
                    if next_rest < 0:
                        continue
                    found = next_rest << rest_shift | next_log << log_shift | next_number << shifts[index] | kept
                    if found not in seen:
                        add(found)
                        append(found)
                        if parents is not None:
                            parents[found] = (state, label)
                if number < writers:
                    break  # it has done nothing yet: the next one would do the same under another name
            for next_log, next_rest, label, end in self._world_moves(log, rest, state):
                processes = state & ((1 << log_shift) - 1)
                if end is not None:
                    processes = self._misled(processes, shifts, end)
                found = next_rest << rest_shift | next_log << log_shift | processes
                if found not in seen:
                    add(found)
                    append(found)
                    if parents is not None:
                        parents[found] = (state, label)
            if limit is not None and len(seen) >= limit:
                break
        return new

    def _work_out(self, key: int, log: int, number: int, state: int) -> list[tuple[int, int, int, str]]:
        found: list[tuple[int, int, int, str]] = []
        last: tuple[str, ...] = ()
        try:
            for move in self._moves.of(self.world.logs[log], self._processes[number]):
                last = (move.label,)
                found.append(
                    (move.log, self._number_of(move.process), self._number_of_effects(move.effects), move.label)
                )
        except Violation as violation:
            raise _Found(
                str(violation), state, (f"a move of P{self._processes[number].index}, behind {last}",)
            ) from None
        self._of_process[key] = found
        return found

    def _misled(self, processes: int, shifts: list[int], end: int) -> int:
        """The processes after the broker lost what stood at `end` and above."""
        for shift in shifts:
            process = self._moves.misled_by(self._processes[processes >> shift & _MASK], end)
            processes = processes & ~(_MASK << shift) | self._number_of(process) << shift
        return processes

    def _world_moves(self, log: int, rest: int, state: int) -> list[tuple[int, int, str, int | None]]:
        key = rest << _BITS | log
        found = self._of_log.get(key)
        if found is None:
            try:
                found = self._of_log[key] = list(self._happenings(log, rest))
            except Violation as violation:
                raise _Found(str(violation), state, ("what happens to the log",)) from None
        return found

    def _happenings(self, number: int, rest_number: int) -> list[tuple[int, int, str, int | None]]:
        """What happens to the log by itself."""
        world, log, rest = self.world, self.world.logs[number], self._rests[rest_number]
        found: list[tuple[int, int, str, int | None]] = []

        def add(
            effects: tuple[tuple[str, int], ...], make: Callable[[], int], label: str, end: int | None = None
        ) -> None:
            behind = rest.after(effects)
            if behind is not None:
                try:
                    found.append((make(), self._number_of_rest(behind), label, end))
                except Violation as violation:
                    raise Violation(f"{violation} [{label}]") from None

        for record in dict.fromkeys(rest.late):
            add((("landed", record),), partial(world.append, log, record), f"record {record} lands late")
        for record in dict.fromkeys(log.records):
            add((("repeats", 1),), partial(world.append, log, record), f"record {record} lands again")
        for offset in dict.fromkeys(rest.cuts):
            if offset <= log.end:
                add((("done", offset),), partial(world.cut, log, offset), f"cut to {offset}")
        for offset in range(log.start + 1, log.end + 1):
            add(
                (("foreign", 1),),
                partial(world.cut, log, offset, FOREIGN_CUT),
                f"foreign cut to {offset}",
            )
        for offset in range(log.start, log.end):
            add((("truncations", 1),), partial(world.truncate, log, offset), f"tail lost from {offset}", offset)
        return found

    # --- numbers -------------------------------------------------------------------------------------------------

    def _number_of(self, process: Process) -> int:
        found = self._process_numbers.get(process)
        if found is None:
            found = self._process_numbers[process] = len(self._processes)
            self._processes.append(process)
        return found

    def _number_of_rest(self, rest: Rest) -> int:
        found = self._rest_numbers.get(rest)
        if found is None:
            found = self._rest_numbers[rest] = len(self._rests)
            self._rests.append(rest)
        return found

    def _number_of_effects(self, effects: tuple[tuple[str, int], ...]) -> int:
        found = self._effect_numbers.get(effects)
        if found is None:
            found = self._effect_numbers[effects] = len(self._effects)
            self._effects.append(effects)
        return found

    def _rest_after(self, key: int, rest: int, effects: int) -> int:
        behind = self._rests[rest].after(self._effects[effects])
        found = self._after[key] = -1 if behind is None else self._number_of_rest(behind)
        return found

    def _path(self, state: int) -> tuple[str, ...]:
        path: list[str] = []
        while self._parents is not None and state in self._parents:
            state, label = self._parents[state]
            path.append(label)
        return tuple(reversed(path))


class _Found(Exception):  # noqa: N818 - carries a violation out of the inner loops
    def __init__(self, text: str, state: int, last: tuple[str, ...]) -> None:
        super().__init__(text)
        self.text = text
        self.state = state
        self.last = last
