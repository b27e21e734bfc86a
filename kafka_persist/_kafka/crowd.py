"""Reading the ends of many logs together with one consumer: a few requests to the broker instead of thousands."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final

import attrs
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec  # type: ignore[attr-defined]  # as in admin.py

from ..driver import Log, LogRange, Scan
from ..errors import PersistenceError, RecoveryStalled
from .errors import MISSING, UNREACHABLE, broker_error, error_in
from .scanner import CREATION_SECONDS, LOOKUP_SECONDS, Deadline, Scanner, Stretch, stretch_of

PATIENCE_SECONDS: Final = 2.0
"""How long a crowd waits for those of its logs that send nothing."""

CROWD_BYTES: Final = 32 * 1024 * 1024
"""What one crowd may hold in memory; each log gets its share, and who wants more reads on alone."""


@attrs.frozen
class Request:
    """One `Driver.scan` call."""

    log: Log
    start: int | None
    stop: int | None
    known: bool


def serve(scanner: Scanner, admin: AdminClient, requests: Sequence[Request]) -> list[Scan | PersistenceError | None]:
    """Answer all requests, of different logs, together; runs in a worker thread.

    Returns:
        One answer each; None for a log that sent nothing for a while: the others do not wait for it any longer, and it
        is to be asked for again.

    Raises:
        RecoveryStalled: no log's bounds could be looked up.
    """
    bounds = _bounds(admin, requests, Deadline(scanner.stall_seconds, f"reading {len(requests)} logs", scanner))
    share = max(64 * 1024, min(scanner.batch_bytes, CROWD_BYTES // len(requests)))
    stretches = {
        request.log: stretch_of(request.log, request.start, request.stop, found, share)
        for request in requests
        if isinstance(found := bounds[request.log], LogRange)
    }
    open_ones = [stretch for stretch in stretches.values() if not stretch.done]
    if open_ones:
        patience = Deadline(PATIENCE_SECONDS, f"reading {len(open_ones)} logs", scanner)
        with scanner.assigned(open_ones), contextlib.suppress(RecoveryStalled):
            scanner.advance(open_ones, patience)
    return [_answer(bounds[request.log], stretches.get(request.log)) for request in requests]


def _answer(bounds: LogRange | PersistenceError, stretch: Stretch | None) -> Scan | PersistenceError | None:
    if isinstance(bounds, PersistenceError):
        return bounds
    assert stretch is not None
    if stretch.failure is not None:
        return stretch.failure
    return Scan(bounds, stretch.records, stretch.next_offset) if stretch.done else None


def _bounds(
    admin: AdminClient, requests: Sequence[Request], deadline: Deadline
) -> dict[Log, LogRange | PersistenceError]:
    """Where each log begins and ends; asks again for those whose leader did not answer."""
    found: dict[Log, LogRange | PersistenceError] = {}
    started = time.monotonic()
    while left := [request for request in requests if request.log not in found]:
        young = time.monotonic() - started < CREATION_SECONDS
        starts = _ask(admin, left, OffsetSpec.earliest)  # pyright: ignore[reportArgumentType]  # optional by type only
        ends = _ask(admin, left, OffsetSpec.latest)  # pyright: ignore[reportArgumentType]
        for request in left:
            answer = _combine(starts[request.log], ends[request.log], request, patient=request.known and young)
            if answer is not None:
                found[request.log] = answer
                deadline.progress()
        if len(found) < len(requests):
            deadline.pause()
    return found


def _ask(
    admin: AdminClient, requests: Sequence[Request], spec: Callable[[], OffsetSpec]
) -> dict[Log, int | KafkaError]:
    wanted = {TopicPartition(each.log.topic, each.log.partition): spec() for each in requests}
    answers = admin.list_offsets(wanted, request_timeout=LOOKUP_SECONDS * 10)
    return {Log(partition.topic, partition.partition): _offset(answer) for partition, answer in answers.items()}


def _offset(answer: Future[ListOffsetsResultInfo]) -> int | KafkaError:
    try:
        return int(answer.result().offset)
    except KafkaException as exception:
        return error_in(exception)


def _combine(
    start: int | KafkaError, end: int | KafkaError, request: Request, *, patient: bool
) -> LogRange | PersistenceError | None:
    """The bounds, an error that waiting does not heal, or None: ask again."""
    for part in (start, end):
        if isinstance(part, KafkaError):
            if part.code() in UNREACHABLE or (part.code() in MISSING and patient):
                return None
            return broker_error(part, f"looking up the offsets of {request.log}")
    assert isinstance(start, int)
    assert isinstance(end, int)
    return LogRange(start, end)
