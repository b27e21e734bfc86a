r"""Names of topics: which topic holds the events, and which the snapshots, of a persistence id.

Pure functions of the id and of the configured prefixes, so that every process, now and later, finds the same topic.

``naming = "hashed"``, the default. An id of ASCII letters, digits, ``-`` and ``_`` *is* the topic's name. In any other
id each further character becomes ``_``, and ``.`` and a hash of the full id are appended: ``a/b`` is stored in
``a_b.yfgn3qbt6zfz32ua5jtvz4uaua``. Also hashed are ids

* that contain a dot: Kafka's metrics write ``_`` for ``.``, so a broker refuses to create ``a.b`` beside ``a_b``; one
  of the two has to give way, and ``_`` is the more usual character in ids;
* that look like a hashed name (end in ``_`` or ``.`` and 26 characters of the hash's alphabet), so that nobody can
  pick an id whose name is another id's;
* whose topic would have another role (a snapshot topic, ``events``, Kafka's ``__...``), or would be too long.

The hash has 128 bits of SHA-256: among a thousand million hashed ids the chance of two equal ones is below 10**-20, and
making two on purpose takes about 2**64 attempts. Even then nothing is mixed up: each record carries its full id.

``naming = "seed"`` is the original's rule: replace, append nothing. Different ids may then share a name, and ids whose
topic would have another role are refused.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection
from typing import Final, Literal, TypeAlias

from .errors import ConfigError, InvalidPersistenceId, printable
from .model import check_persistence_id

Naming: TypeAlias = Literal["hashed", "seed"]
"""How an id becomes a name: injective, or as the original did."""

MAX_TOPIC_LENGTH: Final = 249
"""Characters of the longest topic name (Kafka's limit: partition directories must fit into 255)."""

MAX_PREFIX_LENGTH: Final = 100
"""Characters of the longest prefix, so that ids keep room beside it and the hash."""

DEFAULT_SNAPSHOT_PREFIX: Final = "snapshot-"
"""The original's prefix of snapshot topics."""

DEFAULT_EVENTS_TOPIC: Final = "events"
"""The user-defined topic that the default mapper publishes to."""

INTERNAL_TOPICS: Final = frozenset(
    {"__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"}
)
"""Topics of Kafka itself."""

_LEGAL = re.compile(r"[A-Za-z0-9._-]+")
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_LOOKS_HASHED = re.compile(r"_[a-z2-7]{26}\Z")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_-]")
_NOT_LEGAL = re.compile(r"[^A-Za-z0-9._-]")  # a class of ASCII characters: \w would keep every alphabet's letters
_HASH_BYTES = 16
_HASH_LENGTH = 26
_INTERNAL_PREFIX = "__"
_LEADS = ("", "id-", "p-", "e-", "j-")  # first characters differ: each reserved prefix bars at most one of the others


def topic_name(
    persistence_id: str,
    *,
    prefix: str = "",
    naming: Naming = "hashed",
    snapshot_prefix: str = DEFAULT_SNAPSHOT_PREFIX,
    reserved: Collection[str] = (DEFAULT_EVENTS_TOPIC,),
) -> str:
    """Return the name of the topic that holds the events of `persistence_id`.

    Args:
        persistence_id: any persistence id.
        prefix: put before every name (one per tenant); no tenant's prefix may be the beginning of another's.
        naming: "hashed" (distinct ids have distinct names) or "seed" (as the original).
        snapshot_prefix: the prefix of the snapshot topics beside this journal: no journal topic begins with it.
        reserved: further names that no journal topic may have.

    Raises:
        InvalidPersistenceId: not a persistence id; or, with "seed" only, its name would be illegal in Kafka or that
            of a topic of another role.
    """
    if naming == "seed":
        return _seed_journal_name(persistence_id, prefix, snapshot_prefix, reserved)
    return _hashed_name(persistence_id, prefix, (snapshot_prefix, _INTERNAL_PREFIX), reserved)


def snapshot_topic_name(
    persistence_id: str, *, prefix: str = DEFAULT_SNAPSHOT_PREFIX, naming: Naming = "hashed"
) -> str:
    """Return the name of the topic that holds the snapshots of `persistence_id` (or of a view's id).

    Raises:
        InvalidPersistenceId: see `topic_name`.
    """
    if naming == "seed":
        return _seed_name(persistence_id, prefix)
    return _hashed_name(persistence_id, prefix, (), ())


def is_legal_topic_name(name: str) -> bool:
    """Whether Kafka allows `name` as the name of a topic."""
    return len(name) <= MAX_TOPIC_LENGTH and _LEGAL.fullmatch(name) is not None and name not in {".", ".."}


def collision_key(name: str) -> str:
    """Return what a broker compares: it refuses a new topic whose name differs from another only in ``.`` and ``_``."""
    return name.replace(".", "_")


def check_prefix(prefix: str) -> str:
    """Return `prefix` if topic names may begin with it.

    Raises:
        ConfigError: not text, longer than 100 characters, with characters that topic names cannot have, or like
            the prefix of Kafka's own topics.
    """
    if not isinstance(prefix, str):
        raise ConfigError(f"must be text, not {type(prefix).__name__}")
    if len(prefix) > MAX_PREFIX_LENGTH:
        raise ConfigError(f"must have at most {MAX_PREFIX_LENGTH} characters, not {len(prefix)}")
    if prefix and not _LEGAL.fullmatch(prefix):
        raise ConfigError(f"must consist of ASCII letters, digits, '.', '_' and '-', not {printable(prefix)}")
    if collision_key(prefix).startswith(_INTERNAL_PREFIX):
        raise ConfigError(f"must not begin like the names of Kafka's own topics ('__'); it is {prefix!r}")
    return prefix


def _hashed_name(persistence_id: str, prefix: str, barred_prefixes: tuple[str, ...], reserved: Collection[str]) -> str:
    check_persistence_id(persistence_id)
    name = prefix + persistence_id
    if _is_plain(persistence_id, name) and not _is_barred(name, barred_prefixes, reserved):
        return name
    tail = "." + _hash(persistence_id)
    for lead in _LEADS:
        slug = lead + _NOT_PLAIN.sub("_", persistence_id)
        name = (prefix + slug)[: MAX_TOPIC_LENGTH - len(tail)] + tail
        if not _is_barred(name, barred_prefixes, ()):
            return name
    raise ConfigError(
        f"the journal's prefix {printable(prefix)} begins with the prefix of another role ({barred_prefixes}); "
        "choose prefixes of which none begins with the other"
    )


def _is_plain(persistence_id: str, name: str) -> bool:
    return (
        len(name) <= MAX_TOPIC_LENGTH
        and _PLAIN.fullmatch(persistence_id) is not None
        and _LOOKS_HASHED.search(persistence_id) is None
    )


def _is_barred(name: str, barred_prefixes: tuple[str, ...], reserved: Collection[str]) -> bool:
    key = collision_key(name)
    begins = any(barred and key.startswith(collision_key(barred)) for barred in barred_prefixes)
    return begins or key in {collision_key(other) for other in reserved}


def _hash(persistence_id: str) -> str:
    digest = hashlib.sha256(persistence_id.encode()).digest()[:_HASH_BYTES]
    return base64.b32encode(digest).decode("ascii").rstrip("=").lower()


def _seed_journal_name(persistence_id: str, prefix: str, snapshot_prefix: str, reserved: Collection[str]) -> str:
    name = _seed_name(persistence_id, prefix)
    if _is_barred(name, (snapshot_prefix,), (*reserved, *INTERNAL_TOPICS)):
        raise InvalidPersistenceId(
            f"persistence id {printable(persistence_id)}: its topic {name!r} would be one of another role (snapshots, "
            'published events, or Kafka\'s own); choose another id, or naming = "hashed"'
        )
    return name


def _seed_name(persistence_id: str, prefix: str) -> str:
    check_persistence_id(persistence_id)
    name = prefix + _NOT_LEGAL.sub("_", persistence_id)
    if not is_legal_topic_name(name):
        raise InvalidPersistenceId(
            f"persistence id {printable(persistence_id)} has no legal topic name with naming = \"seed\": '.', '..' and "
            f'names over {MAX_TOPIC_LENGTH} characters are not legal in Kafka; choose another id, or naming = "hashed"'
        )
    return name
