"""What is inside a snapshot: ``[[name, version, data], the same for metadata or nil, bookmark or nil]``."""

from __future__ import annotations

from typing import Any

from ..errors import CorruptRecord, printable
from ..model import SnapshotMetadata
from ..serialization import Encoded, Serializer
from . import cbor


def encode_payload(serializer: Serializer, metadata: SnapshotMetadata, snapshot: object) -> bytes:
    """Encode a snapshot with what travels with it.

    Raises:
        SerializationError: the snapshot or its metadata has no stored form.
    """
    opaque = None if metadata.metadata is None else _plain(serializer.dump(metadata.metadata))
    return cbor.encode([_plain(serializer.dump(snapshot)), opaque, metadata.bookmark])


def decode_payload(serializer: Serializer, payload: bytes, max_bytes: int) -> tuple[Any, Any, bytes | None]:
    """Return the snapshot, its metadata, and its bookmark.

    Raises:
        StoredDataError: the bytes or a type in them cannot be read.
    """
    try:
        snapshot, opaque, bookmark = cbor.decode(payload, cbor.Limits(max_bytes=max_bytes))
        if bookmark is not None and type(bookmark) is not bytes:
            raise CorruptRecord("the bookmark is not bytes")
        return _load(serializer, snapshot), None if opaque is None else _load(serializer, opaque), bookmark
    except (TypeError, ValueError) as error:
        raise CorruptRecord(f"malformed: {printable(str(error), 200)}") from None


def _plain(encoded: Encoded) -> list[Any]:
    return [encoded.name, encoded.version, encoded.data]


def _load(serializer: Serializer, fields: Any) -> Any:
    name, version, data = fields
    if type(name) is not str or type(version) is not int:
        raise CorruptRecord("a payload without the name and version of its type")
    return serializer.load(name, version, data)
