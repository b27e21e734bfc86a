"""All sizes in one place, so that what is written can be read.

Who writes checks against the same numbers as who reads: no configuration allows a record that any reader refuses. What
a process may *write* is bounded by its configuration (``max-record-bytes``, ``max-event-bytes``), which lies within
these limits; what it *reads* is bounded by these limits alone, so that a process with a smaller configuration reads
what a larger one has stored.
"""

from __future__ import annotations

from typing import Final

from .model import MAX_PERSISTENCE_ID_LENGTH

KIB: Final = 1024
MIB: Final = 1024 * KIB

MAX_PERSISTENCE_ID_BYTES: Final = 4 * MAX_PERSISTENCE_ID_LENGTH
"""The longest persistence id in UTF-8."""

# --- records ---------------------------------------------------------------------------------------------------------

MAX_RECORD_BYTES: Final = 64 * MIB
"""Key and value of the largest record, written and read. librdkafka receives up to 100,000,000 bytes in one answer unless
it is told otherwise, and a reader with the default configuration must be able to receive this."""

MIN_RECORD_BYTES: Final = KIB
"""The smallest ``max-record-bytes`` that can be configured."""

RECORD_OVERHEAD_BYTES: Final = 1024
"""What the client and the protocol put around one record, generously."""

BROKER_MAX_MESSAGE_BYTES: Final = 1_048_588
"""Kafka's own default of ``max.message.bytes``: topics for larger records need the setting."""

DEFAULT_RECORD_BYTES: Final = 1_000_000
"""The default of ``max-record-bytes``: with its overhead below the broker's default."""

DEFAULT_EVENT_BYTES: Final = 256 * KIB
"""The default of ``max-event-bytes``, where the largest record is not smaller still."""

# --- journal records -------------------------------------------------------------------------------------------------

KEY_BYTES: Final = 24
"""The key of a journal record."""

HEADER_BYTES: Final = 128
"""A journal record without its persistence id and its entries, at most: checksum, header of fixed length, and the heads
of its arrays and texts."""

MAX_CLAIMANT_BYTES: Final = 1536
"""What a claim says about who made it, encoded."""

MAX_HOST_NAME_LENGTH: Final = 100
"""Characters of the host name in a claim; a longer one is cut."""

MAX_ADDRESS_LENGTH: Final = 200
"""Characters of the address in a claim."""


def entries_room(max_record_bytes: int, persistence_id: str) -> int:
    """The largest sum of encoded events that one record of an id can hold, below 1 if there is no room at all."""
    return max_record_bytes - KEY_BYTES - HEADER_BYTES - len(persistence_id.encode())


# --- published events ------------------------------------------------------------------------------------------------

PUBLISHED_EXTRA_BYTES: Final = 2 * MAX_PERSISTENCE_ID_BYTES + 64
"""What a published record can have beside the journal's entry: the id as key and in the value, and a few bytes."""

PUBLISHED_OVERHEAD_BYTES: Final = PUBLISHED_EXTRA_BYTES + RECORD_OVERHEAD_BYTES
"""The same, with what the client and the protocol put around it."""

MAX_PUBLISHED_BYTES: Final = MAX_RECORD_BYTES + PUBLISHED_EXTRA_BYTES
"""The value of the largest published record, written and read."""

# --- memory ----------------------------------------------------------------------------------------------------------

DEFAULT_WAITING_BYTES: Final = 64 * MIB
"""The default of ``max-waiting-bytes``."""

MAX_WAITING_BYTES: Final = 512 * MIB
"""The largest ``max-waiting-bytes``: half of what librdkafka's own queue holds."""

RECENT_BYTES: Final = 256 * KIB
"""How much of a recovery is kept for the replay that follows it."""

WAYMARK_EVENTS: Final = 1000
"""Of a long log that was read, a place to begin again is remembered every so many events, at the ends of batches."""

MAX_WAYMARKS: Final = 1000
"""How many such places are remembered for each id; of more, every second one is forgotten."""

MAX_SIZE_SETTING: Final = 2**31 - 1
"""The largest size that Kafka and librdkafka take as a setting."""
