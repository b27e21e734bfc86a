"""Questions that wait together go out in one request: creating a hundred topics in one costs little more than one."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Final, Generic, TypeVar

import attrs
import trio

from .._lifecycle import Background, open_nursery
from ..errors import PersistenceError, StoreClosed

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


PATIENCE: Final = 0.5
"""Seconds after which a request that has no answer yet holds up the next one no longer."""

AT_ONCE: Final = 3
"""Requests under way at a time; more wait, as threads and brokers have bounds."""


@attrs.define(eq=False)
class _Question(Generic[K, R]):
    key: K
    answered: trio.Event = attrs.field(factory=trio.Event)
    answers: list[R] = attrs.field(factory=list)
    error: PersistenceError | None = None


class Together(Generic[K, R]):
    """Asks for many keys at a time: those that come while a request is under way share the next one.

    A request that takes long (nobody answers, or a topic cannot be made now) is not waited for: those who ask for
    something else would wait for what they have not asked for.

    Args:
        ask: answers several distinct keys; one that it leaves out, or an error, is an error of its own.
        tasks: runs the requests, so that a caller who leaves disturbs nobody.
        most: keys in one request.
    """

    def __init__(
        self, ask: Callable[[Sequence[K]], Awaitable[Mapping[K, R | PersistenceError]]], tasks: Background, most: int
    ) -> None:
        self._ask = ask
        self._tasks = tasks
        self._most = most
        self._waiting: list[_Question[K, R]] = []
        self._running = False
        self._slots = trio.Semaphore(AT_ONCE)

    async def __call__(self, key: K) -> R:
        """Ask for one key.

        Raises:
            PersistenceError: the key's own, or that of the whole request.

        Cancellation: at once; the request goes on for the others.
        """
        question: _Question[K, R] = _Question(key)
        self._waiting.append(question)
        if not self._running:
            self._running = True
            if not self._tasks.spawn(self._serve):
                raise StoreClosed("the connection to Kafka is closed")
        try:
            await question.answered.wait()
        finally:
            if question in self._waiting:
                self._waiting.remove(question)
        if question.error is not None:
            raise question.error
        return question.answers[0]

    async def all(self, keys: Sequence[K]) -> list[R]:
        """Ask for several keys, and return their answers in order; the first error is raised when all have answered.

        Cancellation: at once.
        """
        errors: list[PersistenceError] = []
        answers: dict[K, R] = {}

        async def one(key: K) -> None:
            try:
                answers[key] = await self(key)
            except PersistenceError as error:
                errors.append(error)

        async with open_nursery() as nursery:
            for key in keys:
                nursery.start_soon(one, key)
        if errors:
            raise errors[0]
        return [answers[key] for key in keys]

    async def _serve(self) -> None:
        try:
            while self._waiting:
                await self._slots.acquire()
                if not self._waiting:  # all have left meanwhile
                    self._slots.release()
                    break
                keys = list(dict.fromkeys(each.key for each in self._waiting))[: self._most]
                chosen = set(keys)
                now = [each for each in self._waiting if each.key in chosen]
                self._waiting = [each for each in self._waiting if each.key not in chosen]
                ended = trio.Event()
                if not self._tasks.spawn(self._serve_one, keys, now, ended):
                    self._end(now, ended)
                with trio.move_on_after(PATIENCE):
                    await ended.wait()
        finally:
            self._running = False
            for left in self._waiting:
                self._give_up(left)

    async def _serve_one(self, keys: Sequence[K], questions: Sequence[_Question[K, R]], ended: trio.Event) -> None:
        try:
            await self._serve_some(keys, questions)
        finally:
            self._end(questions, ended)

    def _end(self, questions: Sequence[_Question[K, R]], ended: trio.Event) -> None:
        """Everybody has an answer, at least that there will be none."""
        for question in questions:
            if not question.answers and question.error is None:
                self._give_up(question)
            question.answered.set()
        self._slots.release()
        ended.set()

    async def _serve_some(self, keys: Sequence[K], questions: Sequence[_Question[K, R]]) -> None:
        try:
            answers = await self._ask(keys)
            for question in questions:
                answer = answers[question.key]
                if isinstance(answer, PersistenceError):
                    question.error = copy.copy(answer)
                else:
                    question.answers.append(answer)
        except PersistenceError as error:
            for question in questions:
                question.error = copy.copy(error)

    def _give_up(self, question: _Question[K, R]) -> None:
        question.error = StoreClosed("the connection to Kafka was closed during this call")
        question.answered.set()
