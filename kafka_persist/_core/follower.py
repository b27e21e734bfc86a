"""`chain.judge` for long stretches: the same rule, without a new object for each record.

Nearly every record is one of the same writer's events extending the last one. What it begins with is known before it is
read, so `Follower.follow` compares bytes and a handful of numbers; everything else is decoded and goes through `judge`.
A test feeds random logs to all of them and compares.
"""

from __future__ import annotations

from .chain import Base, Chain, Head, judge
from .envelope import Envelope
from .header import encode_owner, entries_at, predicted, steady_header


class Follower:
    """A `Chain` in the making."""

    __slots__ = (
        "_author",
        "_base",
        "_commands",
        "_epoch",
        "_floor",
        "_header",
        "_id",
        "_offset",
        "_owner",
        "_published",
        "_shared",
        "_writer",
        "entries_at",
        "highest",
        "oldest",
        "position",
    )

    def __init__(self, chain: Chain) -> None:
        self._shared = chain.shared
        self._owner = encode_owner(chain.persistence_id, shared=chain.shared)
        self.entries_at: int = entries_at(self._owner)
        """Where the entries of each record begin."""
        self._load(chain)

    def _load(self, chain: Chain) -> None:
        head = chain.head
        self._id = chain.persistence_id
        self._offset, self._author, self._writer = head.offset, head.author, head.writer
        self._epoch, self.highest, self._floor = head.epoch, head.highest, head.floor
        self._published, self._commands = head.published, head.commands
        self.oldest: int = chain.oldest
        self._base: Base | None = chain.base
        self.position = chain.position
        self._header = steady_header(self._writer, self._epoch, self._author, self._floor)

    @property
    def writer(self) -> bytes:
        """Who may write events, as judged so far."""
        return self._writer

    @property
    def persistence_id(self) -> str:
        """Whose log it is."""
        return self._id

    @property
    def chain(self) -> Chain:
        """What has been judged so far."""
        numbers = self._epoch, self.highest, self._floor, self._published, self._commands
        head = Head(self._offset, self._author, self._writer, *numbers)
        return Chain(self._id, head, self.position, self.oldest, self._base, self._shared)

    def follow(self, offset: int, value: bytes) -> tuple[int, int] | None:
        """The first and the last number in a record of events that plainly extends the head, which it then is.

        Returns:
            None, and nothing has changed, for all others: whoever asks decodes them and calls `take`. So does a record
            whose offset is below the start of a log that was cut.
        """
        numbers = predicted(value, self._header, self._owner)
        if numbers is None:
            return None
        commands, prev_offset, first, last, published = numbers
        if (
            prev_offset != self._offset
            or first != self.highest + 1
            or not first <= last >= published >= self._published
            or commands < self._commands
            or (commands and not self._shared)
        ):
            return None
        self._offset, self.highest, self._published, self.position = offset, last, published, offset + 1
        self._commands = commands
        if self._author != self._writer:  # the first of its writer after a deletion by somebody else
            self._author = self._writer
            self._header = steady_header(self._writer, self._epoch, self._author, self._floor)
        return first, last

    def take(self, offset: int, envelope: Envelope, log_start: int, where: str) -> bool:
        """Judge the record at `offset`; whether it counts.

        Raises: as `judge`.
        """
        self._load(judge(self.chain, offset, envelope, log_start, where))
        return self._offset == offset
