"""The checker: one pass over a history, and every promise that was broken in it.

The invariants are numbered as in `docs/faults.md`. What a call may have done begins with its invocation; what it has certainly done,
with its end. So an event counts as stored from the moment its write returned, as possible from the moment it was called; a
deletion hides from its call on, and must hide from its return on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import attrs

from .history import Line

GRACE = 1.0
"""Seconds beyond its deadline that a call may take."""

DAMAGE = frozenset({"JournalTruncated", "JournalHeadLost", "CorruptRecord", "ForeignEvent"})
"""Errors that report damage of an id's log: from then on, what is missing there is not missing in silence."""

NEVER_STORED = frozenset({"rejected", "fenced", "refused", "cancelled"})
KEPT = 200


@attrs.frozen
class Broken:
    """One promise that was broken.

    Attributes:
        invariant: "I1" to "I14".
        pid: the persistence id, if it is about one.
        text: what, for people.
    """

    invariant: str
    pid: str
    text: str


@attrs.define
class Verdict:
    """What a checker found.

    Attributes:
        broken: the first broken promises.
        counts: how many there are, by invariant.
        totals: what was seen: calls by operation and end, events stored, events read.
        damaged: ids whose damage was reported.
    """

    broken: list[Broken] = attrs.field(factory=list)
    counts: Counter[str] = attrs.field(factory=Counter)
    totals: Counter[str] = attrs.field(factory=Counter)
    damaged: set[str] = attrs.field(factory=set)

    @property
    def clean(self) -> bool:
        """No promise was broken."""
        return not self.counts

    def add(self, invariant: str, pid: str, text: str) -> None:
        """Note a broken promise."""
        self.counts[invariant] += 1
        if len(self.broken) < KEPT:
            self.broken.append(Broken(invariant, pid, text))


@attrs.define(eq=False)
class _Write:
    pid: str
    writer: str
    first: int
    marks: list[str]
    invoked: float
    phase: str = "open"

    @property
    def last(self) -> int:
        return self.first + len(self.marks) - 1


@attrs.define(eq=False)
class _Claim:
    writer: str
    invoked: float
    highest: int = -1
    done: float = float("inf")


@attrs.define(eq=False)
class _Id:
    """What is known about one persistence id.

    Attributes:
        stored: sequence numbers of events whose write returned, ascending.
        writes: every write by its (number, mark) of each event.
        holes: numbers that were given to rejected or refused writes.
        floor: deleted for certain; may_floor: perhaps.
        seen: the highest event that a replay gave; highest: the highest number that was reported.
    """

    stored: list[int] = attrs.field(factory=list)
    marks: dict[int, str] = attrs.field(factory=dict)
    writes: dict[tuple[int, str], _Write] = attrs.field(factory=dict)
    holes: set[int] = attrs.field(factory=set)
    claims: list[_Claim] = attrs.field(factory=list)
    claim_of: dict[str, _Claim] = attrs.field(factory=dict)
    floor: int = 0
    may_floor: int = 0
    seen: int = 0
    highest: int = 0


class Checker:
    """Feed it the lines of a history in the order of their times, then ask for the `verdict`."""

    def __init__(self) -> None:
        self.verdict = Verdict()
        self._ids: defaultdict[str, _Id] = defaultdict(_Id)
        self._owner: dict[str, str] = {}
        self._open: dict[tuple[str, int], tuple[Line, tuple[int, ...], object]] = {}
        self._stopped: defaultdict[str, float] = defaultdict(float)

    def take(self, line: Line) -> None:
        """Look at one line."""
        if "call" not in line:
            self._limits(line)
        elif line["phase"] == "invoke":
            getattr(self, f"_invoke_{line['op']}", _nothing)(line)
        else:
            self._end(line)

    # --- beginnings ------------------------------------------------------------------------------------------------

    def _begin(self, line: Line, about: object = None) -> None:
        each = self._ids[line["pid"]]
        before = (len(each.stored), each.floor, each.highest, each.seen)
        line["stopped"] = self._stopped[line["proc"]]
        self._open[line["proc"], line["call"]] = (line, before, about)

    def _invoke_write(self, line: Line) -> None:
        write = _Write(line["pid"], line["writer"], line["first"], line["marks"], line["t"])
        each = self._ids[write.pid]
        for number, mark in enumerate(write.marks, write.first):
            each.writes[number, mark] = write
            self._owner[mark] = write.pid
        self._begin(line, write)

    def _invoke_claim(self, line: Line) -> None:
        claim = _Claim(line["writer"], line["t"])
        self._ids[line["pid"]].claim_of[claim.writer] = claim
        self._begin(line, claim)

    def _invoke_delete(self, line: Line) -> None:
        each = self._ids[line["pid"]]
        each.may_floor = max(each.may_floor, line["to"])
        self._begin(line)

    _invoke_replay = _invoke_highest = _invoke_snapshot = _begin

    # --- ends --------------------------------------------------------------------------------------------------------

    def _end(self, line: Line) -> None:
        op, phase = line["op"], line["phase"]
        self.verdict.totals[f"{op} {phase}"] += 1
        begun = self._open.pop((line["proc"], line["call"]), None)
        if begun is None:
            return
        invocation, before, about = begun
        self._check_time(invocation, line)
        if line.get("err") in DAMAGE:
            self.verdict.damaged.add(line["pid"])
        if isinstance(about, _Write):
            self._end_write(about, line)
        elif phase == "ok":
            getattr(self, f"_end_{op}")(self._ids[line["pid"]], invocation, line, before, about)

    def _end_write(self, write: _Write, line: Line) -> None:
        each, write.phase = self._ids[write.pid], line["phase"]
        if write.phase == "ok":
            self.verdict.totals["events stored"] += len(write.marks)
            self._check_zombie(each, write)
            for number, mark in enumerate(write.marks, write.first):
                if each.marks.setdefault(number, mark) != mark:
                    self._bad("I3", write.pid, f"number {number} was given to two events, both stored")
                each.stored.append(number)
        elif write.phase in NEVER_STORED:
            each.holes.update(range(write.first, write.last + 1))

    def _check_zombie(self, each: _Id, write: _Write) -> None:
        """I7: nothing is stored for a writer after another one took over."""
        own = each.claim_of.get(write.writer)
        for claim in reversed(each.claims):
            if claim.done < write.invoked and claim.writer != write.writer and own and own.done < claim.invoked:
                self._bad(
                    "I7", write.pid, f"events {write.first}-{write.last} were stored after another writer's claim"
                )
                return
            if own is not None and claim is own:
                return

    def _end_claim(self, each: _Id, _: Line, line: Line, before: tuple[int, ...], about: object) -> None:
        assert isinstance(about, _Claim)
        about.highest, about.done = line["highest"], line["t"]
        each.claims.append(about)
        self._check_highest(each, line, before)

    def _end_highest(self, each: _Id, _: Line, line: Line, before: tuple[int, ...], __: object) -> None:
        self._check_highest(each, line, before)

    def _check_highest(self, each: _Id, line: Line, before: tuple[int, ...]) -> None:
        """I9: the highest sequence number never goes back."""
        stored, _, reported, seen = before
        least = max(reported, seen, each.stored[stored - 1] if stored else 0)
        if line["highest"] < least:
            self._bad("I9", line["pid"], f"the highest sequence number was {least}, and is now {line['highest']}")
        each.highest = max(each.highest, line["highest"])

    def _end_delete(self, each: _Id, invocation: Line, line: Line, before: tuple[int, ...], _: object) -> None:
        stored = before[0]
        known = max(each.stored[stored - 1] if stored else 0, before[2])
        each.floor = max(each.floor, min(invocation["to"], known))

    def _end_snapshot(self, each: _Id, invocation: Line, line: Line, _: tuple[int, ...], __: object) -> None:
        """I8: never above what was asked for, nor above what the journal ever held."""
        number = line.get("number")
        possible = max(max((number for number, _ in each.writes), default=0), each.highest)
        if number is not None and number > min(int(invocation.get("bound") or number), possible):
            self._bad(
                "I8",
                line["pid"],
                f"a snapshot of {number}; asked for up to {invocation.get('bound')}, {possible} exist",
            )

    # --- replays -------------------------------------------------------------------------------------------------------

    def _end_replay(self, each: _Id, invocation: Line, line: Line, before: tuple[int, ...], _: object) -> None:
        pid, events, low = line["pid"], line["events"], max(1, invocation.get("low", 1))
        self.verdict.totals["events read"] += len(events)
        self._check_order(each, pid, events)
        self._check_origin(each, pid, events)
        self._check_atomic(each, pid, events, low)
        if line.get("limited"):
            return
        stored, floor, _highest, seen = before
        self._check_stored(each, pid, events, low, stored)
        last = events[-1][0] if events else 0
        if last < seen and seen > each.may_floor and seen >= low and pid not in self.verdict.damaged:
            self._bad("I2", pid, f"a replay ends at {last}; an earlier one gave event {seen}")
        if events and events[0][0] <= floor:
            self._bad("I9", pid, f"event {events[0][0]} was deleted (up to {floor}) and is there again")
        each.seen = max(each.seen, last)

    def _check_order(self, each: _Id, pid: str, events: list[list[object]]) -> None:
        """I2, I3: each number once, ascending, no gap but where numbers were refused."""
        previous = None
        for number, _ in events:
            assert isinstance(number, int)
            if previous is not None and number <= previous:
                self._bad("I3", pid, f"event {number} follows event {previous}")
            elif previous is not None and number > previous + 1:
                missing = next((gap for gap in range(previous + 1, number) if gap not in each.holes), None)
                if missing is not None:
                    self._bad("I2", pid, f"event {missing} is missing between {previous} and {number}")
            previous = number

    def _check_origin(self, each: _Id, pid: str, events: list[list[object]]) -> None:
        """I5, I6, I7, I10: every event was submitted to this id, and neither refused nor decided against."""
        for number, mark in events:
            assert isinstance(number, int)
            write = each.writes.get((number, str(mark)))
            if write is None:
                owner = self._owner.get(str(mark))
                invariant = "I10" if owner not in (None, pid) else "I5"
                self._bad(invariant, pid, f"event {number} ({mark}) was never submitted to this id; to {owner}")
            elif write.phase in NEVER_STORED:
                self._bad("I5", pid, f"event {number} was {write.phase}, and is there")
            elif write.phase != "ok" and (claim := self._decided_against(each, write)) is not None:
                self._bad("I6", pid, f"event {number} was absent when a claim found {claim.highest}, and is there now")
            if (stored := each.marks.get(number)) is not None and stored != mark:
                self._bad("I1", pid, f"event {number} is {mark}; stored was {stored}")

    def _decided_against(self, each: _Id, write: _Write) -> _Claim | None:
        """A claim that was made after this write's own claim, by another writer, and did not find it."""
        own = each.claim_of.get(write.writer)
        for claim in reversed(each.claims):
            if claim is own or claim.done < write.invoked:
                return None
            later = own is None or own.done < claim.invoked
            if claim.writer != write.writer and claim.highest < write.first and later:
                return claim
        return None

    def _check_atomic(self, each: _Id, pid: str, events: list[list[object]], low: int) -> None:
        """I4: of each atomic write all or nothing, but what a deletion or the window left out."""
        if not events:
            return
        least = max(low, each.may_floor + 1)
        there = {number for number, _ in events}
        whole: set[int] = set()
        for number, mark in events:
            assert isinstance(number, int)
            write = each.writes.get((number, str(mark)))
            if write is None or id(write) in whole:
                continue
            whole.add(id(write))
            missing = [each for each in range(max(write.first, least), write.last + 1) if each not in there]
            if missing:
                self._bad("I4", pid, f"of events {write.first}-{write.last}, written together, {missing[0]} is missing")

    def _check_stored(self, each: _Id, pid: str, events: list[list[object]], low: int, stored: int) -> None:
        """I1: what was stored when the replay began, and is not deleted, is there."""
        if pid in self.verdict.damaged:
            return
        there = {number for number, _ in events}
        for place in range(stored - 1, -1, -1):
            number = each.stored[place]
            if number < low or number <= each.may_floor:
                break
            if number not in there:
                self._bad("I1", pid, f"event {number} was stored, and is not there")

    # --- limits ----------------------------------------------------------------------------------------------------------

    def _check_time(self, invocation: Line, line: Line) -> None:
        """I11, I14: every call ends in time, a cancelled one within a second; time in which its process was stopped is no time."""
        took, within = line["t"] - invocation["t"], invocation.get("within")
        took -= self._stopped[line["proc"]] - invocation["stopped"]
        if within is not None and took > within + GRACE:
            self._bad("I11", line["pid"], f"{line['op']} took {took:.1f} s; {within:g} s were allowed")
        if (since := line.get("cancelled")) is not None and line["t"] - since > GRACE:
            self._bad("I14", line["pid"], f"{line['op']} ended {line['t'] - since:.1f} s after it was cancelled")

    def _limits(self, line: Line) -> None:
        """I12, I13: memory, threads and files stay, the event loop is never blocked for long."""
        if line["op"] == "stopped":
            self._stopped[line["proc"]] += line["seconds"]
        elif line["op"] == "resources":
            for name in ("rss", "threads", "fds", "queue"):
                if name in line and line[name] > line.get(f"max_{name}", line[name]):
                    self._bad(
                        "I12", "", f"{line['proc']}: {name} is {line[name]}, at most {line[f'max_{name}']} is allowed"
                    )
        elif line["op"] == "gap" and line["seconds"] > line["most"]:
            self._bad("I13", "", f"{line['proc']}: the event loop was blocked for {line['seconds']:.3f} s")

    def _bad(self, invariant: str, pid: str, text: str) -> None:
        self.verdict.add(invariant, pid, text)


def _nothing(_: Line) -> None:
    pass


def check(lines: Iterable[Line]) -> Verdict:
    """Check a whole history."""
    checker = Checker()
    for line in lines:
        checker.take(line)
    return checker.verdict
