"""Changes of one id's log that need it for themselves: claim, deletion, the published mark.

Each reads to the end of the log, appends a record that extends the head found there, and begins anew where somebody
else's record came between.
"""

from __future__ import annotations

import os
import time
import uuid

from .._core import chain as rule
from .._core.chain import Chain
from .._core.cut import Cut, plan_cut
from .._core.envelope import Claimant, encode_claimant
from ..errors import BrokerError, WriteOutcomeUnknown, WriterFenced, printable
from .idlog import IdLog
from .known import CUT_OFF
from .reading import Counted, catch_up

CLAIM_ATTEMPTS = 200
"""How often a claim that lost a race is tried again; each loss means that another process claimed or wrote meanwhile."""


async def claim(idlog: IdLog, writer: bytes) -> int:
    """Take the log over; call it within a turn of `idlog`.

    Raises:
        WriterFenced: other processes claimed or wrote again and again meanwhile.
        WriteOutcomeUnknown: the claim may or may not have landed.
        PersistenceIdCollision: the topic is somebody else's.
    """
    await idlog.refresh()
    if idlog.chain.head.offset < 0 and idlog.tools.check_new is not None:
        await idlog.tools.check_new(idlog.log)
    for _ in range(CLAIM_ATTEMPTS):  # a lost one has read what came between: tried again at once it has the best chance
        claimant = Claimant(idlog.tools.host, os.getpid(), time.time_ns() // 1_000_000, idlog.address)
        envelope = rule.claim_envelope(idlog.chain, writer, idlog.published, encode_claimant(claimant))
        if await idlog.append(envelope) is not None:
            idlog.failure = ""
            idlog.holder = (envelope.epoch, claimant)
            return idlog.chain.head.highest
    raise WriterFenced(
        f"{CLAIM_ATTEMPTS} claims of {printable(idlog.chain.persistence_id)} in a row lost against other processes: "
        "more than one of them keeps opening this entity. Certainly nothing was written"
    )


async def delete_to(idlog: IdLog, to_sequence_nr: int) -> int | None:
    """Raise the floor; return the offset below which the log may be cut. Call it within a turn of `idlog`."""
    author = uuid.uuid4().bytes
    await idlog.refresh()
    for _ in range(CLAIM_ATTEMPTS):
        to = min(to_sequence_nr, idlog.chain.head.highest)
        if to <= idlog.chain.head.floor:
            return None
        cut = await _plan_cut(idlog, to)
        where = await idlog.append(rule.delete_envelope(idlog.chain, author, cut.floor, idlog.published))
        if where is not None:
            return await _confirmed(idlog, where, author) if cut.offset is None else cut.offset
    raise BrokerError(
        f"{CLAIM_ATTEMPTS} deletions of {printable(idlog.chain.persistence_id)} in a row lost against other writes; "
        "nothing was deleted, try again"
    )


async def _confirmed(idlog: IdLog, where: int, author: bytes) -> int | None:
    """The offset of a delete record once another record extends it: only then may the log be cut to it."""
    if idlog.chain.head.offset == where:
        try:
            await idlog.append(rule.delete_envelope(idlog.chain, author, idlog.chain.head.floor))
        except (BrokerError, WriteOutcomeUnknown):
            return None  # the floor holds; what it hides stays on disk until the next deletion
    return where if CUT_OFF < where < idlog.chain.head.offset else None


async def save_mark(idlog: IdLog) -> None:
    """Record how far events are published, in a delete record that deletes nothing. Call it within a turn of `idlog`."""
    if idlog.unsaved:
        floor = idlog.chain.head.floor
        await idlog.append(rule.delete_envelope(idlog.chain, uuid.uuid4().bytes, floor, idlog.published))


async def _plan_cut(idlog: IdLog, to_sequence_nr: int) -> Cut:
    if to_sequence_nr >= idlog.chain.head.highest:
        return plan_cut(to_sequence_nr, idlog.chain.head.highest, ())
    found: list[Counted] = []

    def keep_first(counted: Counted) -> None:
        if not found and counted.first and counted.last > to_sequence_nr:
            found.append(counted)

    chain = await catch_up(
        idlog.tools.driver,
        idlog.log,
        Chain(idlog.chain.persistence_id),
        stop=idlog.chain.head.offset + 1,
        on_counted=keep_first,
    )
    pairs = [(counted.offset, counted.decoded(idlog.log)) for counted in found]
    return plan_cut(to_sequence_nr, idlog.chain.head.highest, pairs, chain.lost_to)
