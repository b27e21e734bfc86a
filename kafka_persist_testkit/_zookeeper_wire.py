"""The few questions that a test server has for ZooKeeper, in ZooKeeper's own protocol.

By hand because they are few and the client library is an optional extra that needs threads: a connection is opened, asked and
closed. Every number is big-endian; a text or a blob is its length and its bytes.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Iterator

from ._partition import PartitionState
from ._ports import LOOPBACK

_DELETE, _GET_DATA, _GET_CHILDREN, _CLOSE = 2, 4, 8, -11
_NO_NODE = -101
_SESSION_MILLISECONDS = 10_000
_SERVING = b"Zookeeper version"


def is_serving(port: int, seconds: float = 1.0) -> bool:
    """Whether a ZooKeeper on this port serves requests.

    Asks `srvr`: the better known `ruok` is answered before the server takes sessions.
    """
    try:
        with socket.create_connection((LOOPBACK, port), timeout=seconds) as connection:
            connection.sendall(b"srvr")
            return connection.recv(len(_SERVING)) == _SERVING
    except OSError:
        return False


def forget_broker(port: int, broker_id: int) -> None:
    """Remove the registration that a killed broker has left, and its office as controller.

    ZooKeeper keeps both until the dead broker's session times out, and until then a new broker of the same id refuses to
    start. Only to be called when the broker's process has certainly ended.

    Does nothing if ZooKeeper does not answer: then the broker's own message about that is the better one.

    Args:
        port: ZooKeeper's.
        broker_id: The dead broker.
    """
    with contextlib.suppress(OSError), _open_session(port) as session:
        session.delete(f"/brokers/ids/{broker_id}")
        controller = session.read("/controller")
        if controller is not None and json.loads(controller).get("brokerid") == broker_id:
            session.delete("/controller")


def is_registered(port: int, broker_id: int) -> bool:
    """Whether a broker of this id is registered (not so if ZooKeeper does not answer)."""
    with contextlib.suppress(OSError), _open_session(port) as session:
        return session.read(f"/brokers/ids/{broker_id}") is not None
    return False


def topics(port: int) -> int:
    """The number of topics that ZooKeeper knows (0 if it does not answer)."""
    with contextlib.suppress(OSError), _open_session(port) as session:
        return len(session.children("/brokers/topics"))
    return 0


def controller(port: int) -> int:
    """The id of the broker that is the controller; -1 if there is none, or ZooKeeper does not answer."""
    with contextlib.suppress(OSError), _open_session(port) as session:
        found = session.read("/controller")
        if found is not None:
            return int(json.loads(found)["brokerid"])
    return -1


def partitions(port: int, topic: str | None = None) -> list[PartitionState] | None:
    """What the controller has decided about partitions; None if ZooKeeper does not answer.

    Args:
        port: ZooKeeper's.
        topic: Whose partitions; None: those of all topics.
    """
    with contextlib.suppress(OSError), _open_session(port) as session:
        names = session.children("/brokers/topics") if topic is None else [topic]
        return [state for name in names for state in _partitions_of(session, name)]
    return None


def _partitions_of(session: _Session, topic: str) -> Iterator[PartitionState]:
    assignment = session.read(f"/brokers/topics/{topic}")
    if assignment is None:
        return
    for number, replicas in json.loads(assignment)["partitions"].items():
        state = session.read(f"/brokers/topics/{topic}/partitions/{number}/state")
        if state is not None:  # none is written yet of a topic that is being created
            found = json.loads(state)
            yield PartitionState(topic, int(number), found["leader"], tuple(replicas), frozenset(found["isr"]))


@contextlib.contextmanager
def _open_session(port: int) -> Iterator[_Session]:
    """One short ZooKeeper session."""
    with socket.create_connection((LOOPBACK, port), timeout=_SESSION_MILLISECONDS / 1000) as connection:
        session = _Session(connection)
        session.begin()
        yield session
        session.end()


class _Session:
    """Requests over one connection, one at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def begin(self) -> None:
        """Introduce ourselves."""
        # protocol version, last transaction seen, timeout, session id, password of 16 bytes, read-only
        self._send(struct.pack(">iqiq", 0, 0, _SESSION_MILLISECONDS, 0) + _blob(bytes(16)) + b"\0")
        self._receive()

    def end(self) -> None:
        """Take our leave, so that the server need not wait for our session to time out."""
        self._ask(_CLOSE, b"")

    def children(self, path: str) -> list[str]:
        """Return the names of a node's children; none if there is no such node."""
        answer = self._ask(_GET_CHILDREN, _blob(path.encode()) + b"\0")  # no watch
        names: list[str] = []
        if answer is None:
            return names
        (count,) = struct.unpack_from(">i", answer)
        place = 4
        for _ in range(count):
            (length,) = struct.unpack_from(">i", answer, place)
            names.append(answer[place + 4 : place + 4 + length].decode())
            place += 4 + length
        return names

    def read(self, path: str) -> bytes | None:
        """Return a node's data, or None if there is no such node."""
        answer = self._ask(_GET_DATA, _blob(path.encode()) + b"\0")  # no watch
        if answer is None:
            return None
        (length,) = struct.unpack_from(">i", answer)
        return answer[4 : 4 + max(length, 0)]

    def delete(self, path: str) -> None:
        """Delete a node, of whatever version; nothing happens if there is none."""
        self._ask(_DELETE, _blob(path.encode()) + struct.pack(">i", -1))

    def _ask(self, kind: int, body: bytes) -> bytes | None:
        """Return the body of the answer, or None if there is no such node."""
        self._send(struct.pack(">ii", 1, kind) + body)
        answer = self._receive()
        _, _, error = struct.unpack_from(">iqi", answer)
        if error == _NO_NODE:
            return None
        if error:
            raise OSError(f"ZooKeeper answers with error {error}")
        return answer[16:]

    def _send(self, frame: bytes) -> None:
        self._connection.sendall(_blob(frame))

    def _receive(self) -> bytes:
        (length,) = struct.unpack(">i", self._exactly(4))
        return self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = self._connection.recv(count - len(data))
            if not chunk:
                raise ConnectionResetError("ZooKeeper closed the connection")
            data += chunk
        return data


def _blob(data: bytes) -> bytes:
    return struct.pack(">i", len(data)) + data
