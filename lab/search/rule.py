"""The functions under search: `kafka_persist._core.chain` and `.cut` themselves, or a mutant of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from kafka_persist._core import chain, cut


@attrs.frozen(kw_only=True)
class Rule:
    """What the search calls; the defaults are the library's own functions and protocol.

    Attributes:
        judge: takes one record into account.
        check_range: compares what is known with a log's bounds.
        check_complete: refuses a log whose first record nothing confirms.
        verdict: judges a delivery report.
        claim_envelope: the record by which a writer takes over.
        events_envelope: the record with events.
        delete_envelope: the record that raises the floor.
        plan_cut: what a deletion removes.
        survived_cut: whether the writer's own record counted although the log was cut after it.
        claims: a new writer appends a claim before it writes.
        confirms: a complete deletion appends a second record before it cuts the log to the first.
        reads_gap: a writer reads what came between its last record and this one.
        reads_again: it reads again, too, what it saw behind the head that did not count.
        stops_short: a reader stops at its own record also where the log was cut beyond what it knows.
        cut_shift: records cut off beyond the planned ones.
        cuts_at_head: a deletion cuts to the head as it is when the answer comes, not to its own record.
    """

    judge: Callable[..., chain.Chain] = chain.judge
    check_range: Callable[..., None] = chain.check_range
    check_complete: Callable[..., None] = chain.check_complete
    verdict: Callable[..., chain.Verdict] = chain.verdict
    claim_envelope: Callable[..., Any] = chain.claim_envelope
    events_envelope: Callable[..., Any] = chain.events_envelope
    delete_envelope: Callable[..., Any] = chain.delete_envelope
    plan_cut: Callable[..., cut.Cut] = cut.plan_cut
    survived_cut: Callable[..., bool] = cut.survived_cut
    claims: bool = True
    confirms: bool = True
    reads_gap: bool = True
    reads_again: bool = True
    stops_short: bool = False
    cut_shift: int = 0
    cuts_at_head: bool = False
