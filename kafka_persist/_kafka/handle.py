"""What ctypes reaches of librdkafka that the Python client does not show, behind a guard.

The client's extension module exports librdkafka's functions, and the ``rd_kafka_t*`` is the first field of a `Producer` or
`Consumer`. The guard: what ctypes reads there is believed only if it points to mapped memory, and if the client behind it
gives the name of a client. Otherwise `HandleUnavailable` is raised, and the caller has another, slower way.
"""

from __future__ import annotations

import ctypes
import functools
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException, cimpl

_POINTER_BYTES: Final = ctypes.sizeof(ctypes.c_void_p)


class HandleUnavailable(Exception):  # noqa: N818 - a state of the installation; never leaves `_kafka`
    """This build of the client does not look as expected."""


@functools.cache
def library() -> ctypes.CDLL:
    found = ctypes.CDLL(cimpl.__file__)
    for name in ("rd_kafka_queue_get_main", "rd_kafka_queue_get_consumer"):
        function = getattr(found, name)
        function.restype, function.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    found.rd_kafka_name.restype, found.rd_kafka_name.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
    found.rd_kafka_queue_destroy.restype, found.rd_kafka_queue_destroy.argtypes = None, [ctypes.c_void_p]
    enable = found.rd_kafka_queue_io_event_enable
    enable.restype = None
    enable.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]
    found.rd_kafka_topic_new.restype = ctypes.c_void_p
    found.rd_kafka_topic_new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    found.rd_kafka_topic_destroy.restype, found.rd_kafka_topic_destroy.argtypes = None, [ctypes.c_void_p]
    ask = found.rd_kafka_metadata
    ask.restype = ctypes.c_int
    ask.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_int]
    found.rd_kafka_metadata_destroy.restype, found.rd_kafka_metadata_destroy.argtypes = None, [ctypes.c_void_p]
    return found


def handle_of(client: Any) -> int:
    """The client's ``rd_kafka_t*``.

    Raises:
        HandleUnavailable: what stands there is no such pointer.
    """
    address = id(client) + object.__basicsize__
    if type(client).__basicsize__ < object.__basicsize__ + _POINTER_BYTES:
        raise HandleUnavailable(f"{type(client).__name__} is not an object of the client's extension module")
    handle = ctypes.c_void_p.from_address(address).value
    if not handle or not _is_mapped(handle):
        raise HandleUnavailable("the client's first field is not a pointer to mapped memory")
    name = library().rd_kafka_name(handle) or b""
    if b"#producer-" not in name and b"#consumer-" not in name:
        raise HandleUnavailable(f"what stands in the client's first field calls itself {name[:40]!r}")
    return handle


def _is_mapped(address: int) -> bool:
    """Whether the address may be read and written: reading elsewhere would end the process."""
    try:
        lines = Path("/proc/self/maps").read_text("ascii", errors="replace").splitlines()
    except OSError:
        return False
    for line in lines:
        bounds, access, *_ = line.split(maxsplit=2)
        first, last = (int(part, 16) for part in bounds.split("-"))
        if first <= address < last:
            return access.startswith("rw")
    return False


def ask_for_topic(client: Any, topic: str) -> None:
    """Make a client ask for a topic's metadata; returns at once, and nobody waits for the answer.

    The answer makes the topic's leader known to the client. ``client.list_topics(topic, timeout=0)`` does the same, but it
    leaks the exception that it raises each time (confluent-kafka 2.16.1): some 250 bytes for every id that is opened.
    """
    try:
        functions, handle = library(), handle_of(client)
    except (HandleUnavailable, OSError, AttributeError):
        with suppress(KafkaException):
            client.list_topics(topic, timeout=0)
        return
    local = functions.rd_kafka_topic_new(handle, topic.encode(), None)
    if local:
        metadata = ctypes.c_void_p()
        functions.rd_kafka_metadata(handle, 0, local, ctypes.byref(metadata), 0)
        if metadata.value:
            functions.rd_kafka_metadata_destroy(metadata)
        functions.rd_kafka_topic_destroy(local)
