"""Who leads the controllers of a KRaft cluster, in Kafka's own protocol: the client library has no call for this question.

One request and the first words of its answer, by hand. Every number is big-endian; a compact length is the number plus one, as a
variable-length integer.
"""

from __future__ import annotations

import socket
import struct

from ._ports import LOOPBACK

_DESCRIBE_QUORUM, _VERSION = 55, 0
_TOPIC = b"__cluster_metadata"
_CLIENT = b"kafka-persist-testkit"


def leader(port: int, seconds: float = 2.0) -> int:
    """Return the id of the controller at `port` if it is the active one; -1 if not, for only that one answers the question."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=seconds) as connection:
            request = _request()
            connection.sendall(struct.pack(">i", len(request)) + request)
            (length,) = struct.unpack(">i", _exactly(connection, 4))
            return _leader_in(_exactly(connection, length))
    except (OSError, struct.error, IndexError):
        return -1


def _request() -> bytes:
    head = struct.pack(">hhih", _DESCRIBE_QUORUM, _VERSION, 1, len(_CLIENT)) + _CLIENT + b"\0"
    one_partition = b"\2" + struct.pack(">i", 0) + b"\0"
    topics = b"\2" + bytes([len(_TOPIC) + 1]) + _TOPIC + one_partition + b"\0"
    return head + topics + b"\0"


def _leader_in(answer: bytes) -> int:
    """Correlation, tags, error, then one topic with one partition: index, error, leader."""
    (error,) = struct.unpack_from(">h", answer, 5)
    if error:
        return -1
    partition = 5 + 2 + 1 + 1 + len(_TOPIC) + 1
    _, error, leader_id = struct.unpack_from(">ihi", answer, partition)
    return -1 if error else int(leader_id)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            raise ConnectionResetError("the connection was closed")
        data += chunk
    return data
