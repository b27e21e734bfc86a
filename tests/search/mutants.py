"""The rule with one mistake in it, made in its own source: each must be found by the search."""

from __future__ import annotations

import inspect
import types

from kafka_persist._core import chain, cut
from lab.search.rule import Rule

SHARED = ("Head", "Base", "Chain", "Verdict", "Cut")
FUNCTIONS = {
    chain: (
        "judge",
        "check_range",
        "check_complete",
        "verdict",
        "claim_envelope",
        "events_envelope",
        "delete_envelope",
    ),
    cut: ("plan_cut", "survived_cut"),
}


def mutant(*changes: tuple[str, str]) -> Rule:
    """The rule with each text replaced by the other one; a text that is not there once is an error."""
    sources = {original: inspect.getsource(original) for original in FUNCTIONS}
    for before, after in changes:
        places = [original for original, source in sources.items() for _ in range(source.count(before))]
        assert len(places) == 1, f"{len(places)} times in the rule: {before}"
        sources[places[0]] = sources[places[0]].replace(before, after)
    functions = {}
    for original, source in sources.items():
        module = changed(original, source)
        functions |= {name: getattr(module, name) for name in FUNCTIONS[original]}
    return Rule(**functions)


def changed(original: types.ModuleType, source: str) -> types.ModuleType:
    """The module with another text."""
    module = types.ModuleType(original.__name__, original.__doc__)
    module.__package__ = original.__package__
    exec(compile(source, f"mutant of {original.__name__}", "exec"), vars(module))
    for name in SHARED:  # the functions look these up when they are called
        if hasattr(original, name):
            setattr(module, name, getattr(original, name))
    return module


NO_STEP_CHECK = ("    if not legal or ", "    if False and ")

MUTANTS = {
    "a new writer takes over without a claim": Rule(claims=False),
    "the offset in the answer is ignored": Rule(reads_gap=False),
    "a writer believes the offset whatever it is": mutant(
        (
            "return Verdict.COUNTS if offset == chain.head.offset + 1 else",
            "return Verdict.COUNTS if offset is not None else",
        )
    ),
    "a smaller offset than expected is no reason to stop": mutant(
        ("        return Verdict.TRUNCATED\n", "        return Verdict.COUNTS\n")
    ),
    "records behind the head that did not count are not read again": mutant(
        ("if offset == chain.head.offset + 1 else", "if offset == chain.position else")
    ),
    "only what was never judged is read again": Rule(reads_again=False),
    "a record that is ahead of the head is overlooked": mutant((" or _is_ahead(head, envelope, state):", ":")),
    "every record counts": mutant(
        ("if (envelope.prev_offset, envelope.prev_author) != (chain.head.offset, chain.head.author):", "if False:"),
        NO_STEP_CHECK,
    ),
    "whoever the author was, the offset is enough": mutant(
        (
            "(envelope.prev_offset, envelope.prev_author) != (chain.head.offset, chain.head.author)",
            "envelope.prev_offset not in (chain.head.offset, chain.head.offset - 1)",
        ),
        NO_STEP_CHECK,
    ),
    "a claim does not begin an epoch": mutant(("epoch=head.epoch + 1", "epoch=head.epoch"), NO_STEP_CHECK),
    "the floor is not cumulative": mutant(
        ("head.highest + 1, last, head.floor, _mark(head, published, last)", "head.highest + 1, last, 0, 0"),
        NO_STEP_CHECK,
    ),
    "a deletion lowers the floor": mutant(
        ("    floor = max(head.floor, min(floor, head.highest))\n", "    floor = min(floor, head.highest) - 1\n"),
        NO_STEP_CHECK,
    ),
    "a deletion reaches into the future": mutant(
        ("    floor = max(head.floor, min(floor, head.highest))\n", "    floor = head.highest + 1\n"), NO_STEP_CHECK
    ),
    "a cut goes one record too far": Rule(cut_shift=1),
    "a cut goes to the head as it is when the answer comes": Rule(cuts_at_head=True),
    "a cut keeps the wrong record": mutant(("state.last > to_sequence_nr:", "state.last > to_sequence_nr + 1:")),
    "a cut does not wait for a record that confirms its own": Rule(confirms=False),
    "a reader stops at its own record also when it begins anew": Rule(stops_short=True),
    "the first record left is believed": mutant(("    if chain.unconfirmed:\n", "    if False:\n")),
    "a record that contradicts the first one left is overlooked": mutant(
        ("        _check_base(chain, envelope, where)\n", ""),
        ("        _check_history(chain, envelope, state, where)\n", ""),
    ),
    "what stands before the first record left is not missed": mutant(
        ("state.first if envelope.kind is Kind.EVENTS else state.last + 1", "1")
    ),
    "a deletion makes good what retention removed": mutant(
        (
            "to_sequence_nr if to_sequence_nr < lost_to else max(to_sequence_nr, state.first - 1)",
            "max(to_sequence_nr, state.first - 1)",
        )
    ),
    "a first record that is older than what was known is believed": mutant(
        ("    if envelope.prev_offset < chain.head.offset:\n", "    if False:\n"),
        (
            "    if state.last < head.highest or envelope.epoch < head.epoch or state.commands < head.commands:\n",
            "    if False:\n",
        ),
        ("    if chain.unconfirmed:\n", "    if False:\n"),
    ),
    "a record whose evidence is gone counts": mutant(
        ("            return head.highest >= sent.state.last\n", "            return True\n")
    ),
    "a record whose evidence is gone does not count": mutant(
        ("            return head.highest >= sent.state.last\n", "            return False\n")
    ),
    "another claim since does not matter to a lost record": mutant(
        ("    if head.epoch != sent.epoch:\n", "    if False:\n")
    ),
    "a log that ends too early is read": mutant(("    if end < chain.position:\n", "    if False:\n")),
}

FOUND_BY = {
    "a new writer takes over without a claim": "takeovers",
    "the offset in the answer is ignored": "takeovers",
    "a writer believes the offset whatever it is": "takeovers",
    "a smaller offset than expected is no reason to stop": "lost tails",
    "records behind the head that did not count are not read again": "lost tails",
    "only what was never judged is read again": "lost tails",
    "a record that is ahead of the head is overlooked": "lost tails",
    "every record counts": "copies",
    "whoever the author was, the offset is enough": "one uuid twice",
    "a claim does not begin an epoch": "deletions",
    "the floor is not cumulative": "retention, one writer",
    "a deletion lowers the floor": "retention, one writer",
    "a deletion reaches into the future": "retention, one writer",
    "a cut goes one record too far": "retention, one writer",
    "a cut goes to the head as it is when the answer comes": "retention, one writer",
    "a cut keeps the wrong record": "retention, one writer",
    "a cut does not wait for a record that confirms its own": "retention, one writer",
    "a reader stops at its own record also when it begins anew": "deletions",
    "the first record left is believed": "retention",
    "a record that contradicts the first one left is overlooked": "lost tails",
    "what stands before the first record left is not missed": "retention, one writer",
    "a deletion makes good what retention removed": "retention, one writer",
    "a first record that is older than what was known is believed": "retention",
    "a record whose evidence is gone counts": "deletions",
    "a record whose evidence is gone does not count": "retention",
    "another claim since does not matter to a lost record": "deletions",
    "a log that ends too early is read": "lost tails",
}
"""The smallest search that finds each."""
