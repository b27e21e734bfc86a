"""The checker: one pass over a history, and every promise that was broken in it.

The invariants are numbered as in `docs/faults.md`. What a call may have done begins with its invocation; what it has certainly done,
with its end. So an event counts as stored from the moment its write returned, as possible from the moment it was called; a
deletion hides from its call on, and must hide from its return on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import attrs

from ._known import Claim, Id, Write
from .history import Line

GRACE = 1.0
"""Seconds beyond its deadline that a call may take."""

DAMAGE = frozenset({"JournalTruncated", "JournalHeadLost", "CorruptRecord", "ForeignEvent"})
"""Errors that report damage of an id's log: from then on, what is missing there is not missing silently."""

NEVER_STORED = frozenset({"rejected", "fenced", "refused", "cancelled"})

PASSING = frozenset({"WriterFenced", "EventRejected"})
"""Errors that are not retriable and that a sound cluster gives all the same."""

FALSE_ALARMS = frozenset({"EventsDeleted", "JournalBroken", "TopicSettingsRefused"})
"""Errors that no fault of a soak may cause, beside those that report damage."""

CONVALESCENCE = 3.0
"""Seconds after a fault in which calls may still begin that meet it."""

KEPT = 200


@attrs.frozen
class Broken:
    """One promise that was broken.

    Attributes:
        invariant: "I1" to "I15".
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


class Checker:
    """Feed it the lines of a history in the order of their times, then ask for the `verdict`."""

    def __init__(self) -> None:
        self.verdict = Verdict()
        self._ids: defaultdict[str, Id] = defaultdict(Id)
        self._owner: dict[str, str] = {}
        self._open: dict[tuple[str, int], tuple[Line, tuple[int, ...], object]] = {}
        self._stopped: defaultdict[str, float] = defaultdict(float)
        self._faulty: set[str] = set()
        self._sound_since = float("inf")

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
        before = (len(each.stored), each.floor, each.highest, each.seen, each.saved)
        line["stopped"] = self._stopped[line["proc"]]
        self._open[line["proc"], line["call"]] = (line, before, about)

    def _invoke_write(self, line: Line) -> None:
        write = Write(line["pid"], line["writer"], line["first"], line["marks"], line["t"])
        each = self._ids[write.pid]
        for number, mark in enumerate(write.marks, write.first):
            each.writes[number, mark] = write
            self._owner[mark] = write.pid
        self._begin(line, write)

    def _invoke_claim(self, line: Line) -> None:
        claim = Claim(line["writer"], line["t"])
        self._ids[line["pid"]].claim_of[claim.writer] = claim
        self._begin(line, claim)

    def _invoke_delete(self, line: Line) -> None:
        each = self._ids[line["pid"]]
        each.may_floor = max(each.may_floor, line["to"])
        self._begin(line)

    _invoke_replay = _invoke_highest = _invoke_snapshot = _begin
    _invoke_save = _invoke_state = _invoke_projected = _invoke_open = _invoke_close = _invoke_project = _begin

    # --- ends --------------------------------------------------------------------------------------------------------

    def _end(self, line: Line) -> None:
        op, phase = line["op"], line["phase"]
        self.verdict.totals[f"{op} {phase}"] += 1
        begun = self._open.pop((line["proc"], line["call"]), None)
        if begun is None:
            return
        invocation, before, about = begun
        self._check_time(invocation, line)
        self._check_error(invocation, line)
        if line.get("err") in DAMAGE:
            self.verdict.damaged.add(line["pid"])
        if isinstance(about, Write):
            self._end_write(about, line)
        elif phase == "ok":
            getattr(self, f"_end_{op}")(self._ids[line["pid"]], invocation, line, before, about)

    def _end_write(self, write: Write, line: Line) -> None:
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

    def _check_zombie(self, each: Id, write: Write) -> None:
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

    def _end_claim(self, each: Id, _: Line, line: Line, before: tuple[int, ...], about: object) -> None:
        assert isinstance(about, Claim)
        about.highest, about.done = line["highest"], line["t"]
        each.claims.append(about)
        self._check_highest(each, line["pid"], line["highest"], before)
        if "mark" in line:
            self._check_state(each, line["pid"], line["highest"], line["mark"])

    def _end_highest(self, each: Id, _: Line, line: Line, before: tuple[int, ...], __: object) -> None:
        self._check_highest(each, line["pid"], line["highest"], before)

    def _check_highest(self, each: Id, pid: str, highest: int, before: tuple[int, ...]) -> None:
        """I9: the highest sequence number never goes back."""
        stored, _, reported, seen, _ = before
        least = max(reported, seen, each.stored[stored - 1] if stored else 0)
        if highest < least:
            self._bad("I9", pid, f"the highest sequence number was {least}, and is now {highest}")
        each.highest = max(each.highest, highest)

    def _end_delete(self, each: Id, invocation: Line, line: Line, before: tuple[int, ...], _: object) -> None:
        stored = before[0]
        known = max(each.stored[stored - 1] if stored else 0, before[2])
        each.floor = max(each.floor, min(invocation["to"], known))

    def _end_state(self, each: Id, _: Line, line: Line, before: tuple[int, ...], __: object) -> None:
        """A view has read everything that was stored when it was asked to."""
        self._check_highest(each, line["pid"], line["number"], before)
        self._check_state(each, line["pid"], line["number"], line["mark"])

    def _end_projected(self, each: Id, _: Line, line: Line, before: tuple[int, ...], __: object) -> None:
        """I1: at the end a read model has every event that was stored."""
        least = each.stored[before[0] - 1] if before[0] else 0
        if line["number"] < least:
            self._bad("I1", line["pid"], f"event {least} was stored, and the read model ends at {line['number']}")
        self._check_state(each, line["pid"], line["number"], line["mark"])

    def _check_state(self, each: Id, pid: str, number: int, mark: str) -> None:
        """I1, I5: a state is the fold of the stored events up to its number; the digest of its last event says so."""
        self.verdict.totals["states seen"] += 1
        write = each.writes.get((number, mark))
        if number == 0 and mark == "":
            return
        if write is None or write.phase in NEVER_STORED:
            what = "never submitted" if write is None else write.phase
            self._bad("I5", pid, f"a state of {number} is {mark}; events that lead there were {what}")
        elif (stored := each.marks.get(number)) not in (None, mark):
            self._bad("I1", pid, f"a state of {number} is {mark}; stored was {stored}")

    def _end_save(self, each: Id, _: Line, line: Line, __: tuple[int, ...], ___: object) -> None:
        each.saved = max(each.saved, line["number"])

    def _end_open(self, *_: object) -> None:
        """Nothing to check but its time."""

    _end_close = _end_project = _end_open

    def _end_snapshot(self, each: Id, invocation: Line, line: Line, before: tuple[int, ...], _: object) -> None:
        """I8: not older than one that was saved, never above what was asked for, nor above what the journal ever held."""
        number, saved = line.get("number"), before[4]
        if (number or 0) < saved and not invocation.get("bound"):
            self._bad("I8", line["pid"], f"snapshot {saved} was saved; loaded was {number or 'none'}")
        if number is not None and "mark" in line:
            self._check_state(each, line["pid"], number, line["mark"])
        possible = max(max((number for number, _ in each.writes), default=0), each.highest)
        if number is not None and number > min(int(invocation.get("bound") or number), possible):
            self._bad(
                "I8",
                line["pid"],
                f"a snapshot of {number}; asked for up to {invocation.get('bound')}, {possible} exist",
            )

    # --- replays -------------------------------------------------------------------------------------------------------

    def _end_replay(self, each: Id, invocation: Line, line: Line, before: tuple[int, ...], _: object) -> None:
        pid, events, low = line["pid"], line["events"], max(1, invocation.get("low", 1))
        self.verdict.totals["events read"] += len(events)
        self._check_order(each, pid, events)
        self._check_origin(each, pid, events)
        self._check_atomic(each, pid, events, low)
        if line.get("limited"):
            return
        stored, floor, _highest, seen, _saved = before
        self._check_stored(each, pid, events, low, stored)
        last = events[-1][0] if events else 0
        if last < seen and seen > each.may_floor and seen >= low and pid not in self.verdict.damaged:
            self._bad("I2", pid, f"a replay ends at {last}; an earlier one gave event {seen}")
        if events and events[0][0] <= floor:
            self._bad("I9", pid, f"event {events[0][0]} was deleted (up to {floor}) and is there again")
        each.seen = max(each.seen, last)

    def _check_order(self, each: Id, pid: str, events: list[list[object]]) -> None:
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

    def _check_origin(self, each: Id, pid: str, events: list[list[object]]) -> None:
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

    def _decided_against(self, each: Id, write: Write) -> Claim | None:
        """A claim that was made after this write's own claim, by another writer, and did not find it."""
        own = each.claim_of.get(write.writer)
        for claim in reversed(each.claims):
            if claim is own or claim.done < write.invoked:
                return None
            later = own is None or own.done < claim.invoked
            if claim.writer != write.writer and claim.highest < write.first and later:
                return claim
        return None

    def _check_atomic(self, each: Id, pid: str, events: list[list[object]], low: int) -> None:
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

    def _check_stored(self, each: Id, pid: str, events: list[list[object]], low: int, stored: int) -> None:
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

    def _check_error(self, invocation: Line, line: Line) -> None:
        """I15: while the cluster is sound, a call fails for a reason that passes, or because another writer came."""
        passing = line.get("retriable") is not False or line["err"] in PASSING
        if passing or line["proc"] in self._faulty or self._stopped[line["proc"]] > invocation["stopped"]:
            return
        if line["err"] in FALSE_ALARMS or invocation["t"] > self._sound_since + CONVALESCENCE:
            self._bad("I15", line["pid"], f"{line['op']} of {line['proc']}: {line['err']}: {line.get('text')}")

    def _limits(self, line: Line) -> None:
        """I12, I13: memory, threads and files stay, the event loop is never blocked for long."""
        if line["op"] == "fault":
            self._sound_since = float("inf") if line["begins"] else line["t"]
        elif line["op"] == "faulty":
            self._faulty.add(line["proc"])
        elif line["op"] == "stopped":
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
