"""Bookmarks: a head as opaque bytes, kept with a snapshot, by which a recovery finds where to read on."""

from __future__ import annotations

import struct
from typing import Final

from .._core.chain import Head
from ..errors import CorruptRecord

_LAYOUT: Final = struct.Struct(">Bq16s16sqqqq")
_VERSION: Final = 1


def to_bytes(head: Head) -> bytes:
    """The bookmark of a head."""
    return _LAYOUT.pack(
        _VERSION, head.offset, head.author, head.writer, head.epoch, head.highest, head.floor, head.published
    )


def from_bytes(bookmark: bytes) -> Head:
    """The head of a bookmark.

    Raises:
        CorruptRecord: the bytes are not a bookmark of this release.
    """
    if len(bookmark) != _LAYOUT.size or bookmark[0] != _VERSION:
        raise CorruptRecord(f"{len(bookmark)} bytes are not a journal bookmark; load the snapshot without it")
    _, *head = _LAYOUT.unpack(bookmark)
    return Head(*head)
