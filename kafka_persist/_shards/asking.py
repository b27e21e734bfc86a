"""Who asks: the questions of this process that are on their way, and the replies that come back.

A question is sent once, by a producer that never lets a record land twice. Its reply comes on one partition of the reply topic, which
this process reads from its end as of the opening on; replies to others that share the partition are left alone. A
question ends with its reply, with the certainty that it was not sent, or when its time is up: then its outcome is unknown,
but the owner does not begin to execute it any more.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

import attrs
import trio

from ..driver import Ack, Fate, Log
from ..errors import BrokerError, PersistenceError, StoredDataError, WriteNotSent, WriteOutcomeUnknown, printable
from .batches import Received
from .ports import CommandReader, Connections
from .records import Answer, Command, Payload, decode_reply, encode_command, encode_reply

_log = logging.getLogger("kafka_persist.shards")

MOST_QUESTIONS: Final = 10_000
"""Questions on their way at once; more wait for one of these."""

GRACE: Final = 1.0
"""Seconds for which a reply is waited for after the time of its command: long enough to hear that it was not executed."""

RETRY_PAUSE: Final = 0.2
"""Seconds after which replies that could not be read are asked for again."""


@attrs.define(eq=False)
class Question:
    """One command on its way.

    Attributes:
        answered: set when there is an answer, or a failure.
        answer: the reply.
        failure: why it was certainly not sent.
        doubt: why it may not have arrived.
    """

    answered: trio.Event = attrs.field(factory=trio.Event)
    answer: Answer | None = None
    failure: PersistenceError | None = None
    doubt: str = ""


@attrs.frozen(kw_only=True)
class Request:
    """What is asked, without what belongs to the way.

    Attributes:
        type: the name of the kind of entity.
        id: which one.
        name: of the command.
        arguments: payloads.
        named: payloads.
        key: the idempotency key; "" for none.
    """

    type: str
    id: str
    name: str
    arguments: Sequence[Payload]
    named: Mapping[str, Payload]
    key: str


class Asker:
    """Asks for this process.

    Args:
        connections: to Kafka.
        commands: the command topic.
        replies: the reply topic.
        place: the partition of the reply topic that is read here.
        patience: seconds that a question may take.
        clock: milliseconds since 1970.
    """

    def __init__(
        self,
        connections: Connections,
        *,
        commands: str,
        replies: str,
        place: int,
        patience: float,
        clock: Callable[[], int],
    ) -> None:
        self._connections = connections
        self._commands = commands
        self._replies = replies
        self._place = place
        self._patience = patience
        self._clock = clock
        self._name = uuid4().bytes
        self._next = 0
        self._questions: dict[int, Question] = {}
        self._on_way: Counter[int] = Counter()
        self._room = trio.Semaphore(MOST_QUESTIONS)

    def __repr__(self) -> str:
        return f"<Asker {len(self._questions)} questions on their way>"

    @property
    def questions(self) -> int:
        """How many are on their way."""
        return len(self._questions)

    def is_asking(self, partition: int) -> bool:
        """Whether a question about this shard is on its way: a call would overtake it."""
        return self._on_way[partition] > 0

    async def ask(self, partition: int, persistence_id: str, request: Request) -> Answer:
        """Send a command; return what became of it.

        Raises:
            BrokerError: it was certainly not sent.
            WriteOutcomeUnknown: no reply in time.

        Cancellation: at once; the command may take effect, once.
        """
        begun = trio.current_time()
        until = min(begun + self._patience, trio.current_effective_deadline())
        with trio.move_on_at(begun + self._patience) as waiting:
            await self._room.acquire()
        if waiting.cancelled_caught:
            raise WriteNotSent(
                f"{printable(persistence_id)}: {MOST_QUESTIONS} questions of this process were on their way for "
                f"{self._patience:g} s: certainly not executed"
            ).about(persistence_id)
        try:
            with self._question(partition) as (number, question):
                self._submit(partition, persistence_id, request, until, number, question)
                with trio.move_on_at(until + GRACE):
                    await question.answered.wait()
                return self._outcome(persistence_id, question)
        finally:
            self._room.release()

    def _question(self, partition: int) -> _OnWay:
        self._next += 1
        return _OnWay(self._questions, self._on_way, self._next, partition)

    def _submit(
        self, partition: int, persistence_id: str, request: Request, until: float, number: int, question: Question
    ) -> None:
        left = max(0.0, until - trio.current_time())
        command = Command(
            **attrs.asdict(request, recurse=False),
            until=self._clock() + int(left * 1000),
            place=self._place,
            asker=self._name,
            number=number,
        )

        def on_ack(ack: Ack) -> None:
            if ack.fate is Fate.UNKNOWN:
                question.doubt = ack.reason
            elif ack.fate is not Fate.STORED:
                refusal = f"the command was not sent, and is certainly not executed: {ack.reason}"
                question.failure = ack.error if isinstance(ack.error, PersistenceError) else BrokerError(refusal)
                question.answered.set()

        log = Log(self._commands, partition)
        self._connections.submit(log, persistence_id.encode(), encode_command(command), on_ack)

    def _outcome(self, persistence_id: str, question: Question) -> Answer:
        if question.answer is not None:
            return question.answer
        if question.failure is not None:
            raise question.failure.about(persistence_id)
        doubt = f"; sending it: {question.doubt}" if question.doubt else ""
        raise WriteOutcomeUnknown(
            f"no reply to a command for {printable(persistence_id)} within {self._patience:g} s{doubt}. It may have "
            "taken effect, once; it is not begun any more. Look at the state before you repeat it, or ask with a key "
            "(ask_once), which is safe to repeat"
        ).about(persistence_id)

    # --- replies -------------------------------------------------------------------------------------------------

    def send_answer(self, received: Received, answer: Answer) -> None:
        """Tell who asked what became of a command."""
        if received.reply_to is None:
            return
        place, asker, number = received.reply_to
        if asker == self._name:
            self._take(number, answer)
            return
        value = encode_reply(asker, number, answer)
        self._connections.submit(Log(self._replies, place), asker, value, _nothing)

    async def run(self, reader: CommandReader) -> None:
        """Take replies, forever."""
        failures = 0
        while True:
            try:
                records: Sequence[Any] = await reader.read(wanted=True)
                failures = 0
            except PersistenceError as error:
                if not error.retriable:
                    raise
                level = logging.DEBUG if failures else logging.WARNING
                text = "replies cannot be read, and are tried again: %s"
                _log.log(level, text, error, extra={"event": "shards.replies-failed"})
                failures += 1
                await trio.sleep(RETRY_PAUSE)
                continue
            for record in records:
                self._read(record.value, f"{record.log}@{record.offset}")

    def _read(self, value: bytes | None, where: str) -> None:
        try:
            asker, number, answer = decode_reply(value, where)
        except StoredDataError as error:
            _log.warning("a reply is left out: %s", error, extra={"event": "shards.reply-skipped"})
            return
        if asker == self._name:
            self._take(number, answer)

    def _take(self, number: int, answer: Answer) -> None:
        question = self._questions.get(number)
        if question is not None and question.answer is None:
            question.answer = answer
            question.answered.set()


class _OnWay:
    """Counts a question for a block."""

    def __init__(self, questions: dict[int, Question], on_way: Counter[int], number: int, partition: int) -> None:
        self._questions = questions
        self._on_way = on_way
        self._number = number
        self._partition = partition

    def __enter__(self) -> tuple[int, Question]:
        question = self._questions[self._number] = Question()
        self._on_way[self._partition] += 1
        return self._number, question

    def __exit__(self, *_exc: object) -> None:
        del self._questions[self._number]
        self._on_way[self._partition] -= 1


def _nothing(ack: Ack) -> None:
    """A reply was sent, or not: who asked then learns it when the time is up."""
