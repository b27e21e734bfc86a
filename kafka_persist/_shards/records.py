"""Commands and replies as bytes: the values of records in the command topic and in the reply topic.

A command is ``[1, type, id, command, arguments, named, key, until, place, asker, number]``, a reply
``[1, asker, number, outcome, content]``. A payload in either is ``[name, version, data]``, as the serializer gives it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from .._core.cbor import Limits, decode, encode
from ..errors import CorruptRecord, PersistenceError, UnsupportedEnvelope
from ..limits import MAX_RECORD_BYTES
from ..model import MAX_SEQUENCE_NR
from ..serialization import Serializer

VERSION: Final = 1
MAX_REASON_LENGTH: Final = 2_000
"""Characters of the reason of a refusal."""

_LIMITS: Final = Limits(max_bytes=MAX_RECORD_BYTES)

Payload: TypeAlias = list[Any]


class Outcome(enum.IntEnum):
    """What became of a command."""

    EVENTS = 0
    """It took effect; the reply holds its events."""
    VALUE = 1
    """It took effect; the reply holds the value of its `Reply`."""
    REFUSED = 2
    """It was refused for good; nothing is stored."""
    EXPIRED = 3
    """Its time was up before it was executed; nothing is stored."""


@attrs.frozen(kw_only=True)
class Command:
    """A command on its way.

    Attributes:
        type: the name of the kind of entity.
        id: which one.
        name: of the function that decides.
        arguments: payloads.
        named: payloads.
        key: the idempotency key; "" for none.
        until: milliseconds since 1970 after which it is not executed any more.
        place: the partition of the reply topic.
        asker: 16 bytes, of one process.
        number: of the question; with `asker` it names the command.
    """

    type: str
    id: str
    name: str
    arguments: Sequence[Payload]
    named: Mapping[str, Payload]
    key: str
    until: int
    place: int
    asker: bytes
    number: int


@attrs.frozen
class Answer:
    """What became of one.

    Attributes:
        outcome: the kind.
        content: payloads of events, a payload, or ``[kind, reason]``.
    """

    outcome: Outcome
    content: Any


def dump_payload(serializer: Serializer, value: object) -> Payload:
    """Make a payload.

    Raises:
        SerializationError: it has no stored form.
    """
    return list(attrs.astuple(serializer.dump(value), recurse=False))


def load_payload(serializer: Serializer, payload: Payload) -> Any:
    """Give back what was made a payload of.

    Raises:
        StoredDataError: its type is not registered here, or the data does not fit it.
    """
    return serializer.load(*payload)


def refused(error: BaseException) -> Answer:
    """The answer to a command that raised `error`."""
    return Answer(Outcome.REFUSED, [type(error).__name__[:200], str(error)[:MAX_REASON_LENGTH]])


def encode_command(command: Command) -> bytes:
    """Make the value of a record."""
    return encode([VERSION, *attrs.astuple(command, recurse=False)])


def decode_command(value: bytes | None, where: str) -> Command:
    """Read one.

    Raises:
        CorruptRecord: it is not a command.
        UnsupportedEnvelope: it has another format version.
    """
    fields = _fields(value, 11, where)
    type_, id_, name, arguments, named, key, until, place, asker, number = fields
    if (
        all(type(text) is str for text in (type_, id_, name, key))
        and type(arguments) is list
        and type(named) is dict
        and all(type(each) is str for each in named)
        and all(map(_is_payload, [*arguments, *named.values()]))
        and all(type(each) is int and 0 <= each <= MAX_SEQUENCE_NR for each in (until, place, number))
        and _is_uuid(asker)
    ):
        return Command(
            type=type_,
            id=id_,
            name=name,
            arguments=arguments,
            named=named,
            key=key,
            until=until,
            place=place,
            asker=asker,
            number=number,
        )
    raise CorruptRecord(f"{where}: a field of the command is out of its range")


def encode_reply(asker: bytes, number: int, answer: Answer) -> bytes:
    """Make the value of a record."""
    return encode([VERSION, asker, number, int(answer.outcome), answer.content])


def decode_reply(value: bytes | None, where: str) -> tuple[bytes, int, Answer]:
    """Read one: the asker, the number of its question, the answer.

    Raises:
        CorruptRecord, UnsupportedEnvelope: as `decode_command`.
    """
    asker, number, outcome, content = _fields(value, 5, where)
    if _is_uuid(asker) and type(number) is int and type(outcome) is int and _fits(outcome, content):
        return asker, number, Answer(Outcome(outcome), content)
    raise CorruptRecord(f"{where}: a field of the reply is out of its range")


def asker_of(value: bytes | None) -> tuple[int, bytes, int] | None:
    """To whom to say that a command cannot be read: place, asker and number, if at least these can be."""
    try:
        *_, place, asker, number = decode(value or b"", _LIMITS)
    except (PersistenceError, TypeError, ValueError):
        return None
    if type(place) is type(number) is int and min(place, number) >= 0 and _is_uuid(asker):
        return place, asker, number
    return None


def _fields(value: bytes | None, count: int, where: str) -> list[Any]:
    try:
        fields = decode(value or b"", _LIMITS)
    except CorruptRecord as error:
        raise CorruptRecord(f"{where}: {error}") from None
    if type(fields) is not list or not fields or type(fields[0]) is not int:
        raise CorruptRecord(f"{where}: not of this library; another program writes to this topic")
    if fields[0] != VERSION:
        raise UnsupportedEnvelope(f"{where}: format {fields[0]}, but this release of kafka-persist reads {VERSION}")
    if len(fields) != count:
        raise CorruptRecord(f"{where}: {len(fields)} fields, not {count}")
    return fields[1:]


def _fits(outcome: int, content: Any) -> bool:
    match outcome:
        case Outcome.EVENTS:
            return type(content) is list and all(map(_is_payload, content))
        case Outcome.VALUE:
            return _is_payload(content)
        case Outcome.REFUSED | Outcome.EXPIRED:
            return type(content) is list and len(content) == 2 and all(type(text) is str for text in content)
        case _:
            return False


def _is_payload(value: Any) -> bool:
    return type(value) is list and len(value) == 3 and type(value[0]) is str and type(value[1]) is int


def _is_uuid(value: Any) -> bool:
    return type(value) is bytes and len(value) == 16
