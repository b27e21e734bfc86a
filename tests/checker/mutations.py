"""Fourteen ways to make a clean history wrong. Each returns the invariants of which at least one must be found broken."""

from __future__ import annotations

import random


class Other(Exception):  # noqa: N818 - it asks for another history
    """This history has nothing that could be changed in this way."""


def pick(chances: random.Random, found: list):
    if not found:
        raise Other
    return chances.choice(found)


def begins(lines):
    return {(line["proc"], line["call"]): line for line in lines if line.get("phase") == "invoke"}


def ends(lines, op, phase="ok"):
    return [line for line in lines if line["op"] == op and line.get("phase") == phase]


def last_replays(lines, least=1):
    """The last, whole replay of each id."""
    found = {line["pid"]: line for line in ends(lines, "replay")}
    return [line for line in found.values() if len(line["events"]) >= least]


def writes_of(lines):
    """Each write with its invocation and its end."""
    invoked = begins(lines)
    return [
        (invoked[line["proc"], line["call"]], line)
        for line in lines
        if line["op"] == "write" and line["phase"] != "invoke"
    ]


def events_of(invocation):
    return [[invocation["first"] + place, mark] for place, mark in enumerate(invocation["marks"])]


def stored(lines, pid):
    return {
        mark for begin, end in writes_of(lines) if end["phase"] == "ok" and end["pid"] == pid for mark in begin["marks"]
    }


def drop_acknowledged(lines, chances):
    replay = pick(chances, last_replays(lines, 2))
    known = stored(lines, replay["pid"])
    events = replay["events"]
    del events[pick(chances, [place for place, (_, mark) in enumerate(events) if mark in known])]
    return {"I1", "I2", "I4"}


def drop_tail(lines, chances):
    replay = pick(chances, last_replays(lines, 2))
    known = stored(lines, replay["pid"])
    place = max([place for place, (_, mark) in enumerate(replay["events"]) if mark in known], default=None)
    if place is None:
        raise Other
    del replay["events"][place:]
    return {"I1"}


def swap_two(lines, chances):
    events = pick(chances, last_replays(lines, 2))["events"]
    place = chances.randrange(len(events) - 1)
    events[place], events[place + 1] = events[place + 1], events[place]
    return {"I3"}


def duplicate(lines, chances):
    events = pick(chances, last_replays(lines))["events"]
    place = chances.randrange(len(events))
    events.insert(place, list(events[place]))
    return {"I3"}


def split_batch(lines, chances):
    """The last batch, of unknown outcome, is there by half."""
    found = []
    for replay in last_replays(lines, 2):
        for begin, end in writes_of(lines):
            batch = events_of(begin)
            if (
                end["pid"] == replay["pid"]
                and end["phase"] == "unknown"
                and len(batch) > 1
                and batch[-1] == replay["events"][-1]
            ):
                found.append(replay)
    del pick(chances, found)["events"][-1]
    return {"I4"}


def resurrect_rejected(lines, chances):
    begin, end = pick(chances, [both for both in writes_of(lines) if both[1]["phase"] in ("rejected", "fenced")])
    replay = pick(chances, [line for line in last_replays(lines) if line["pid"] == end["pid"]])
    taken = {number for number, _ in replay["events"]}
    batch = [event for event in events_of(begin) if event[0] not in taken]
    if not batch:
        raise Other
    replay["events"] = sorted(replay["events"] + batch)
    return {"I5"}


def zombie_acknowledged(lines, chances):
    _, end = pick(chances, [both for both in writes_of(lines) if both[1]["phase"] == "fenced"])
    end["phase"] = "ok"
    return {"I7"}


def offset_regression(lines, chances):
    line = pick(chances, [line for line in ends(lines, "highest")[-2:] if line["highest"] > 1])
    line["highest"] -= chances.randint(1, line["highest"] - 1)
    return {"I9"}


def wrong_id(lines, chances):
    if len(last_replays(lines)) < 2:
        raise Other
    earlier, later = sorted(last_replays(lines), key=lambda line: line["t"])
    chances.choice(later["events"])[1] = chances.choice(earlier["events"])[1]
    return {"I10"}


def snapshot_from_the_future(lines, chances):
    line = pick(chances, ends(lines, "snapshot"))
    line["number"] = 1_000_000
    return {"I8"}


def shorter_later_prefix(lines, chances):
    """A later replay does not give what an earlier one gave, though no write had promised it."""
    found = []
    for replay in last_replays(lines):
        unknown = {mark for begin, end in writes_of(lines) if end["phase"] == "unknown" for mark in begin["marks"]}
        if replay["events"] and replay["events"][-1][1] in unknown:
            found.append(replay)
    replay = pick(chances, found)
    unknown_events = [events_of(begin) for begin, end in writes_of(lines) if end["phase"] == "unknown"]
    batch = next(batch for batch in unknown_events if batch[-1] == replay["events"][-1])
    seen = [line for line in ends(lines, "replay") if line is not replay and batch[-1] in line["events"]]
    if not seen:
        raise Other
    replay["events"] = [event for event in replay["events"] if event not in batch]
    return {"I2"}


def sequence_reset(lines, chances):
    line = pick(chances, [line for line in ends(lines, "claim")[-2:] if line["highest"] > 1])
    line["highest"] = 0
    return {"I9"}


def changed_payload(lines, chances):
    chances.choice(pick(chances, last_replays(lines))["events"])[1] = "changed"
    return {"I5", "I1"}


def late_decision(lines, chances):
    """A write that a claim did not find turns up afterwards."""
    found = []
    claims = ends(lines, "claim")
    for begin, end in writes_of(lines):
        for replay in last_replays(lines):
            if end["phase"] != "unknown" or end["pid"] != replay["pid"]:
                continue
            absent = [
                claim
                for claim in claims
                if claim["pid"] == end["pid"] and claim["t"] > end["t"] and claim["highest"] < begin["first"]
            ]
            last = replay["events"][-1][0] if replay["events"] else 0
            if absent and begin["first"] > last:
                found.append((begin, replay))
    begin, replay = pick(chances, found)
    replay["events"].extend(events_of(begin))
    return {"I6"}


MUTATIONS = (
    drop_acknowledged,
    drop_tail,
    swap_two,
    duplicate,
    split_batch,
    resurrect_rejected,
    zombie_acknowledged,
    offset_regression,
    wrong_id,
    snapshot_from_the_future,
    shorter_later_prefix,
    sequence_reset,
    changed_payload,
    late_decision,
)
