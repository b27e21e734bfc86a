"""Which log holds which id: the same rule as Java's producer has for keys, so that other programs can follow it."""

from __future__ import annotations

from functools import lru_cache
from struct import unpack_from
from typing import Final

_MASK: Final = 0xFFFFFFFF
_M: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C

REMEMBERED: Final = 10_000
"""Ids whose place is remembered."""


def murmur2(data: bytes) -> int:
    """Kafka's hash of a key: MurmurHash2 with its seed, as an unsigned number of 32 bits."""
    h = _SEED ^ len(data)
    whole = len(data) >> 2
    for k in unpack_from(f"<{whole}I", data):
        k = k * _M & _MASK  # noqa: PLW2901 - a hash's variable
        k = (k ^ k >> 24) * _M & _MASK  # noqa: PLW2901
        h = (h * _M & _MASK) ^ k
    if rest := data[whole << 2 :]:
        h = (h ^ int.from_bytes(rest, "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


@lru_cache(maxsize=REMEMBERED)  # the hash costs as much as encoding an event, and an id is rarely used only once
def partition_of(persistence_id: str, partitions: int) -> int:
    """The partition that holds an id."""
    return (murmur2(persistence_id.encode()) & 0x7FFFFFFF) % partitions


def log_name(partition: int, partitions: int) -> str:
    """The owner that stands in the log's records: a log read with another number of partitions is refused by it."""
    return f"log {partition} of {partitions}"
