"""`chain.judge` for long stretches: the same rule, without a new object for each record.

Nearly every record is one of the same writer's events extending the last one. For those the state is a handful of
numbers; everything else goes through `judge`. A test feeds random logs to both and compares.
"""

from __future__ import annotations

from .chain import Base, Chain, Head, judge
from .envelope import Envelope, Kind

_EVENTS = Kind.EVENTS


class Follower:
    """A `Chain` in the making."""

    __slots__ = (
        "_author",
        "_base",
        "_epoch",
        "_floor",
        "_id",
        "_offset",
        "_published",
        "_writer",
        "highest",
        "oldest",
        "position",
    )

    def __init__(self, chain: Chain) -> None:
        self._load(chain)

    def _load(self, chain: Chain) -> None:
        head = chain.head
        self._id = chain.persistence_id
        self._offset, self._author, self._writer = head.offset, head.author, head.writer
        self._epoch, self.highest, self._floor = head.epoch, head.highest, head.floor
        self._published = head.published
        self.oldest: int = chain.oldest
        self._base: Base | None = chain.base
        self.position = chain.position

    @property
    def persistence_id(self) -> str:
        """Whose log it is."""
        return self._id

    @property
    def chain(self) -> Chain:
        """What has been judged so far."""
        head = Head(self._offset, self._author, self._writer, self._epoch, self.highest, self._floor, self._published)
        return Chain(self._id, head, self.position, self.oldest, self._base)

    def take(self, offset: int, envelope: Envelope, log_start: int, where: str) -> bool:
        """Judge the record at `offset`; whether it counts.

        Raises: as `judge`.
        """
        if envelope.kind is _EVENTS and self.position >= log_start:
            state = envelope.state
            if (
                envelope.prev_offset == self._offset
                and envelope.prev_author == self._author
                and envelope.author == envelope.writer == self._writer
                and envelope.epoch == self._epoch
                and self.highest + 1 == state.first <= state.last
                and state.floor == self._floor
                and self._published <= state.published <= state.last
                and state.persistence_id == self._id
            ):
                self._offset, self._author, self.highest = offset, envelope.author, state.last
                self._published = state.published
                self.position = offset + 1
                return True
        self._load(judge(self.chain, offset, envelope, log_start, where))
        return self._offset == offset
