"""Who made a claim: what the entries of a claim record hold, if anything.

It decides nothing. It lets the error of a writer that lost its id name the process that took it over.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from ..errors import CorruptRecord, printable
from ..limits import MAX_ADDRESS_LENGTH, MAX_CLAIMANT_BYTES, MAX_HOST_NAME_LENGTH
from ..model import MAX_SEQUENCE_NR
from .cbor import Limits, decode, encode

_LIMITS: Final = Limits(max_bytes=MAX_CLAIMANT_BYTES, max_depth=1, tags=frozenset())


class Claimant(NamedTuple):
    """Who made a claim.

    Attributes:
        host: the host's name; "" if it is not told.
        process_id: the operating system's.
        timestamp: when, in milliseconds since 1970, by that host's clock.
        address: where it takes requests, in words of its own; "" if it is not told.
    """

    host: str
    process_id: int
    timestamp: int
    address: str = ""

    def __str__(self) -> str:
        host = f" on {printable(self.host)[1:-1]}" if self.host else ""
        try:
            at = f"{datetime.fromtimestamp(self.timestamp / 1000, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
        except (OverflowError, OSError, ValueError):  # a record may say anything
            at = f"{self.timestamp} ms"
        return f"process {self.process_id}{host} at {at}"


def encode_claimant(claimant: Claimant) -> bytes:
    """Make `Envelope.entries` of a claim."""
    fields = [claimant.host[:MAX_HOST_NAME_LENGTH], claimant.process_id, claimant.timestamp]
    return encode([*fields, claimant.address] if claimant.address else fields)


def decode_claimant(entries: bytes, where: str) -> Claimant:
    """Decode what a claim says about who made it.

    Raises:
        CorruptRecord: it is malformed.
    """
    try:
        fields: Any = decode(entries, _LIMITS)
    except CorruptRecord as error:
        raise CorruptRecord(f"{where}: claimant: {error}") from None
    if type(fields) is list and 3 <= len(fields) <= 4:
        host, process_id, timestamp, *rest = fields
        address = rest[0] if rest else ""
        if (
            type(host) is type(address) is str
            and len(address) <= MAX_ADDRESS_LENGTH
            and bool(address) is bool(rest)
            and type(process_id) is type(timestamp) is int
            and len(host) <= MAX_HOST_NAME_LENGTH
            and 0 <= process_id <= MAX_SEQUENCE_NR
            and 0 <= timestamp <= MAX_SEQUENCE_NR
        ):
            return Claimant(host, process_id, timestamp, address)
    raise CorruptRecord(f"{where}: the claimant of a claim is malformed")
