"""What is searched: the library's own functions, and how a process uses them."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from kafka_persist._core import chain
from kafka_persist._core.index import Index


@attrs.frozen(kw_only=True)
class Protocol:
    """The defaults are what the library does; each of the others is a mistake.

    Attributes:
        index: the fold of the records that count.
        judge: takes one record into account.
        verdict: judges a delivery report.
        claims: a process appends a claim before it writes.
        carries_states: cleaning appends what is deleted of an id again.
        carries_runs: cleaning appends events again.
        marks: cleaning appends a marker before it cuts the log.
        asks_again: whether something still is alive is asked when it is appended, not when the log was read.
        cut_shift: records that cleaning cuts off beyond those whose content it has appended.
        fences: another record is appended in the place of one whose outcome is unknown, before it is called not stored.
        looks_at_head: a process that starts compares the end of its index with the log.
        takes_states: the deletions of others get into the index.
        reads_gap: an owner reads what came between its last record and this one.
    """

    index: Callable[..., Index] = Index
    judge: Callable[..., chain.Chain] = chain.judge
    verdict: Callable[..., chain.Verdict] = chain.verdict
    claims: bool = True
    carries_states: bool = True
    carries_runs: bool = True
    marks: bool = True
    asks_again: bool = True
    cut_shift: int = 0
    fences: bool = True
    looks_at_head: bool = True
    takes_states: bool = True
    reads_gap: bool = True
