"""The other process: imports a factory, forks for each request, and can be killed at any line of the store's code."""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import sys
import threading
import types
from collections.abc import Callable
from typing import Any, BinaryIO

import trio

from ..errors import single
from .elsewhere import HEADER, Ended
from .history import failure
from .own_code import is_own

ALONG = 100
"""How many places along the way are told."""
REMEMBERED = 50_000
"""How many lines are remembered in their order."""


def _read(stream: BinaryIO) -> Any:
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    return pickle.loads(stream.read(HEADER.unpack(header)[0]))  # noqa: S301 - what our own parent wrote


def _write(stream: BinaryIO, kind: str, value: object) -> None:
    try:
        body = pickle.dumps((kind, value))
    except Exception:  # noqa: BLE001 - an error with a cause that cannot be pickled
        body = pickle.dumps(("failed", repr(value)))
    stream.write(HEADER.pack(len(body)) + body)
    stream.flush()


def load(name: str) -> Callable[..., Any]:
    """Import what ``pkg.module:name`` names."""
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    opened: Callable[..., Any] = found
    return opened


class Tracer:
    """Counts the lines of the store's code in all threads; kills the process at one of them."""

    def __init__(self, kill_at: int | None) -> None:
        self._kill_at = kill_at
        self.count = 0
        self.places: dict[tuple[str, int], list[int]] = {}
        self.order: list[tuple[str, int]] = []
        self.active = False

    def install(self) -> None:
        """Trace this thread and those that are started from now on."""
        sys.settrace(self._trace)
        threading.settrace(self._trace)

    def _trace(self, frame: types.FrameType, event: str, _argument: object) -> Any:
        if not is_own(frame.f_code.co_filename):
            return None
        if event == "line" and self.active:
            self.count += 1
            place = (frame.f_code.co_filename, frame.f_lineno)
            times = self.places.setdefault(place, [self.count, 0, 0])
            times[1:] = self.count, times[2] + 1
            if len(self.order) < REMEMBERED:
                self.order.append(place)
            if self.count == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return self._trace

    def report(self) -> tuple[dict[int, str], dict[int, str], dict[int, str]]:
        """Return when lines ran that ran once, when others ran first and last, and times all along the way, with places."""
        once = {first: _named(place) for place, (first, _, times) in self.places.items() if times == 1}
        repeated = [(place, counts) for place, (*counts, times) in self.places.items() if times > 1]
        edges = {count: _named(place) for place, counts in repeated for count in counts}
        step = max(1, len(self.order) // ALONG)
        along = {count: _named(self.order[count - 1]) for count in range(step, len(self.order) + 1, step)}
        return once, edges, along


def _named(place: tuple[str, int]) -> str:
    return f"{os.path.basename(place[0])}:{place[1]}"  # noqa: PTH119 - a name for people


async def call(store: Any, method: str, arguments: tuple[Any, ...]) -> object:
    """Make one call; a replay gives all its events."""
    if method != "replay":
        return await getattr(store, method)(*arguments)
    persistence_id, low, high, limit = arguments
    async with store.replay(persistence_id, from_sequence_nr=low, to_sequence_nr=high, max_events=limit) as channel:
        return [event async for event in channel]


async def run_script(
    opener: Callable[[], Any], script: Any, note: BinaryIO, tracer: Tracer | None, *, die: bool
) -> None:
    """Make the calls; die without closing anything if asked to."""
    async with opener() as store:
        for place, (method, arguments) in enumerate(script, 1):
            if tracer is not None:
                tracer.active = place == len(script)
            try:
                _write(note, "result", await call(store, method, arguments))
            except Exception as error:  # noqa: BLE001 - the parent judges it
                _write(note, "result", error)
        if tracer is not None:
            tracer.active = False
            _write(note, "places", tracer.report())
        if die:
            os.kill(os.getpid(), signal.SIGKILL)


def forked(opener: Callable[[], Any], script: Any, kill_at: int | None, *, trace: bool) -> Ended | str:
    """Run a script in a fork; return how it ended, or why it could not be opened."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        code = 1
        try:
            with os.fdopen(writing, "wb") as note:
                tracer = Tracer(kill_at) if trace or kill_at else None
                try:
                    if tracer is not None:
                        tracer.install()
                    trio.run(lambda: run_script(opener, script, note, tracer, die=kill_at == 0))
                except BaseException as error:  # noqa: ASYNC103, BLE001 - told to the parent
                    _write(note, "failed", failure(single(error)))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    results: list[object] = []
    places: tuple[dict[int, str], ...] = ()
    failed = ""
    with os.fdopen(reading, "rb") as note:
        while (message := _read_note(note)) is not None:
            kind, value = message
            if kind == "result":
                results.append(value)
            elif kind == "places":
                places = value
            else:
                failed = value
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status)
    if failed or (killed and os.WTERMSIG(status) != signal.SIGKILL):
        return failed or f"the interpreter died of {signal.Signals(os.WTERMSIG(status)).name}"
    return Ended(results, killed, *places)


def _read_note(note: BinaryIO) -> Any:
    try:
        return _read(note)
    except (EOFError, pickle.UnpicklingError):
        return None  # killed in the middle of a note


async def serve(opener: Callable[[], Any], first: Any, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer calls with one open store until the parent is gone."""
    async with opener() as store:
        request = first
        while request is not None:
            _, method, arguments = request
            try:
                value = await call(store, method, arguments)
            except Exception as error:  # noqa: BLE001 - raised again where the call was made
                _write(answers, "raised", error)
            else:
                _write(answers, "gave", value)
            request = await trio.to_thread.run_sync(_read, requests, abandon_on_cancel=True)


def main() -> None:
    """Answer requests until the parent is gone."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the store prints must not get between the answers
    name, arguments, path, _snapshots = _read(requests)
    sys.path[:] = path
    try:
        factory = load(name)
    except BaseException as error:  # noqa: ASYNC103, BLE001 - told to the parent
        _read(requests)
        _write(answers, "failed", failure(error))
        return  # noqa: ASYNC104 - this is the end of the process

    def opener() -> Any:
        return factory(*arguments)

    while (request := _read(requests)) is not None:
        if request[0] == "hello":
            _write(answers, "gave", None)
        elif request[0] == "run":
            ended = forked(opener, request[1], request[2], trace=request[3])
            _write(answers, "failed" if isinstance(ended, str) else "gave", ended)
        else:
            try:
                trio.run(serve, opener, request, requests, answers)
            except BaseException as error:  # noqa: ASYNC103, BLE001 - told to the parent
                _write(answers, "failed", failure(single(error)))
            return


if __name__ == "__main__":
    main()
