"""The store in another process on the same data: to be asked, and to be killed with SIGKILL.

The other process is ``python -m compat_suite.engine.elsewhere_child``. It imports the factory and then forks for each
request, so that a death costs milliseconds. Messages are pickles with their length in front.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs
import trio

from kafka_persist.abc import Capability, Journal, ReplayChannel, SnapshotStore
from kafka_persist.model import (
    LATEST,
    MAX_SEQUENCE_NR,
    AtomicWrite,
    PersistentRepr,
    Rejection,
    SelectedSnapshot,
    SelectionCriteria,
    SnapshotMetadata,
)

from ..errors import FactoryError, SpecError

if TYPE_CHECKING:
    from ..adapters import Elsewhere

HEADER = struct.Struct(">Q")
Script = Sequence[tuple[str, tuple[Any, ...]]]
"""Calls to make one after the other: the method's name, its arguments."""


@attrs.frozen
class Ended:
    """How a script in another process ended.

    Attributes:
        results: of the calls that returned or raised an error, in order.
        killed: whether the process was killed in the middle of the last call.
        once: when the last call ran the lines of the store's code that it ran once, counted in lines.
        edges: when it ran the others for the first and the last time.
        along: times all along the way.
    """

    results: list[object]
    killed: bool
    once: dict[int, str] = attrs.field(factory=dict)
    edges: dict[int, str] = attrs.field(factory=dict)
    along: dict[int, str] = attrs.field(factory=dict)


class Process:
    """A process that holds the factory, and forks for each request."""

    def __init__(self, child: trio.Process) -> None:
        self._child = child

    async def _send(self, message: object) -> None:
        body = pickle.dumps(message)
        assert self._child.stdin is not None
        await self._child.stdin.send_all(HEADER.pack(len(body)) + body)

    async def _receive(self) -> Any:
        size = HEADER.unpack(await self._exactly(HEADER.size))[0]
        return pickle.loads(await self._exactly(size))  # noqa: S301 - what our own child wrote

    async def _exactly(self, count: int) -> bytes:
        assert self._child.stdout is not None
        data = b""
        while len(data) < count:
            part = await self._child.stdout.receive_some(count - len(data))
            if not part:
                raise FactoryError(f"the other process ended by itself{_how(await self._child.wait())}")
            data += part
        return data

    async def ask(self, *request: object) -> Any:
        """Send a request and return the answer.

        Raises:
            FactoryError: the other process could not open the store, or died by itself.
        """
        await self._send(request)
        kind, value = await self._receive()
        if kind == "failed":
            raise FactoryError(f"in another process: {value}")
        if kind == "raised":
            raise value
        return value

    async def run(self, script: Script, *, kill_at: int | None = None, trace: bool = False) -> Ended:
        """Open the store, make the calls; kill the process at a line of the last one, or after it if it is 0."""
        ended: Ended = await self.ask("run", list(script), kill_at, trace)
        return ended


def _how(code: int) -> str:
    return f" (killed by {signal.Signals(-code).name})" if code < 0 else f" (exit code {code})"


@asynccontextmanager
async def other_process(elsewhere: Elsewhere, *, snapshots: bool) -> AsyncGenerator[Process]:
    """Start a process that imports the factory; leaving the block ends it and all that it forked."""
    try:
        body = pickle.dumps((elsewhere.name, elsewhere.arguments, sys.path, snapshots))
    except Exception as error:
        raise SpecError(f"the arguments of {elsewhere.name} for another process cannot be pickled: {error}") from error
    command = [sys.executable, "-m", "compat_suite.engine.elsewhere_child"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    child = await trio.lowlevel.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
    )
    try:
        process = Process(child)
        assert child.stdin is not None
        await child.stdin.send_all(HEADER.pack(len(body)) + body)
        await process.ask("hello")
        yield process
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        with trio.CancelScope(shield=True):  # a killed process ends at once
            await child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                await trio.aclose_forcefully(stream)


class RemoteJournal(Journal):
    """A journal in another process, open until the block is left."""

    def __init__(self, process: Process, capabilities: frozenset[Capability]) -> None:
        self._process = process
        self._capabilities = capabilities

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the subject."""
        return self._capabilities

    async def claim(self, persistence_id: str, writer: UUID) -> int:
        """Ask the other process."""
        answer: int = await self._process.ask("call", "claim", (persistence_id, writer))
        return answer

    async def write(self, writes: Sequence[AtomicWrite]) -> Sequence[Rejection | None]:
        """Ask the other process."""
        answer: list[Rejection | None] = await self._process.ask("call", "write", (list(writes),))
        return answer

    def replay(
        self,
        persistence_id: str,
        *,
        from_sequence_nr: int = 1,
        to_sequence_nr: int = MAX_SEQUENCE_NR,
        max_events: int | None = None,
    ) -> AbstractAsyncContextManager[ReplayChannel]:
        """Ask the other process for all events at once."""
        return self._replay((persistence_id, from_sequence_nr, to_sequence_nr, max_events))

    @asynccontextmanager
    async def _replay(self, arguments: tuple[object, ...]) -> AsyncGenerator[ReplayChannel]:
        events: list[PersistentRepr] = await self._process.ask("call", "replay", arguments)
        send, receive = trio.open_memory_channel[PersistentRepr](len(events))
        with send, receive:
            for event in events:
                send.send_nowait(event)
            send.close()
            yield receive

    async def highest_sequence_nr(self, persistence_id: str) -> int:
        """Ask the other process."""
        answer: int = await self._process.ask("call", "highest_sequence_nr", (persistence_id,))
        return answer

    async def delete_to(self, persistence_id: str, to_sequence_nr: int) -> None:
        """Ask the other process."""
        await self._process.ask("call", "delete_to", (persistence_id, to_sequence_nr))


class RemoteSnapshotStore(SnapshotStore):
    """A snapshot store in another process, open until the block is left."""

    def __init__(self, process: Process, capabilities: frozenset[Capability]) -> None:
        self._process = process
        self._capabilities = capabilities

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the subject."""
        return self._capabilities

    async def save(self, metadata: SnapshotMetadata, snapshot: object) -> SnapshotMetadata:
        """Ask the other process."""
        answer: SnapshotMetadata = await self._process.ask("call", "save", (metadata, snapshot))
        return answer

    async def load(self, persistence_id: str, criteria: SelectionCriteria = LATEST) -> SelectedSnapshot | None:
        """Ask the other process."""
        answer: SelectedSnapshot | None = await self._process.ask("call", "load", (persistence_id, criteria))
        return answer

    async def delete(self, metadata: SnapshotMetadata) -> None:
        """Ask the other process."""
        await self._process.ask("call", "delete", (metadata,))

    async def delete_matching(self, persistence_id: str, criteria: SelectionCriteria) -> None:
        """Ask the other process."""
        await self._process.ask("call", "delete_matching", (persistence_id, criteria))
