"""The journal record's binary format, version 2. ``docs/record-format.md`` describes it for other languages.

A record's value is one CBOR array::

    [2, checksum, header, owner, entries]

`decode_envelope` reads what the chain needs; the entries stay bytes until a replay asks for them (`decode_entries`).
A reader of a long stretch takes both steps in one (`kafka_persist._core.follower`).
Nothing of a record is believed: the checksum finds damage, the checks find forgeries and mistakes, and each of them is a
typed error that says where.
"""

from __future__ import annotations

from .claimant import Claimant, decode_claimant, encode_claimant
from .entries import decode_entries, encode_entry, join_entries
from .header import NOTHING, Envelope, IdState, Kind, decode_envelope, encode_envelope

__all__ = [
    "NOTHING",
    "Claimant",
    "Envelope",
    "IdState",
    "Kind",
    "decode_claimant",
    "decode_entries",
    "decode_envelope",
    "encode_claimant",
    "encode_entry",
    "encode_envelope",
    "join_entries",
]
