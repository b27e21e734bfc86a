"""librdkafka's own mock cluster, through ctypes: brokers in a thread of this process that answer as they are told.

The client library ships a mock of the brokers for its own tests; Python's binding does not show it, but the shared object that
the binding has loaded exports it. It judges what the client does with errors, delays and disappearing leaders, in
milliseconds. It does not judge what a broker does: sequences, fencing, transactions, replicas (see `docs/faults.md`).

librdkafka calls this interface experimental; `MockCluster` says so loudly if it is not there. Nothing else in this package uses ctypes
on the client.
"""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import confluent_kafka

_PRODUCER: Final = 0
_ERROR_TEXT: Final = 512


class Api(enum.IntEnum):
    """Kinds of requests, by their number in Kafka's protocol."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    FIND_COORDINATOR = 10
    INIT_PRODUCER_ID = 22


class MockUnavailable(Exception):  # noqa: N818 - a state of the installation
    """This build of librdkafka does not have the mock cluster."""


class MockCluster:
    """Brokers of librdkafka's mock; a context manager.

    Args:
        brokers: How many.

    Raises:
        MockUnavailable: The client library does not export the mock.
    """

    def __init__(self, brokers: int = 1) -> None:
        self._library = load_library()
        self._brokers = brokers
        self._client: int | None = None
        self._cluster: int | None = None

    def __repr__(self) -> str:
        return f"<MockCluster {self.bootstrap_servers if self._cluster else 'down'}>"

    def __enter__(self) -> Self:
        text = ctypes.create_string_buffer(_ERROR_TEXT)
        config = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(config, b"log_level", b"0", text, _ERROR_TEXT)
        self._client = self._library.rd_kafka_new(_PRODUCER, config, text, _ERROR_TEXT)
        if not self._client:
            raise MockUnavailable(f"librdkafka made no client: {text.value.decode()}")
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, self._brokers)
        if not self._cluster:
            raise MockUnavailable("librdkafka made no mock cluster")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)
        self._cluster = self._client = None

    @property
    def bootstrap_servers(self) -> str:
        """Where the brokers listen; clients of any process may connect."""
        return str(self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode())

    # --- topics ----------------------------------------------------------------------------------------------------

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic."""
        self._call("topic_create", name.encode(), partitions, 1)

    def delete_topic(self, name: str) -> None:
        """Delete a topic."""
        self._call("topic_delete", name.encode())

    def set_topic_error(self, name: str, code: int) -> None:
        """Let the metadata say that a topic has an error; 0 ends that."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, name.encode(), code)

    def delete_records(self, name: str, offset: int, partition: int = 0) -> None:
        """Remove what stands below `offset`."""
        self._call("partition_delete_records", name.encode(), partition, offset)

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self._library, f"rd_kafka_mock_{name}")(self._cluster, *arguments)
        if code:
            raise RuntimeError(f"the mock cluster answers {name} with error {code}")

    # --- faults ----------------------------------------------------------------------------------------------------

    def push_errors(self, api: Api, codes: Sequence[int]) -> None:
        """Answer the next requests of a kind with these error codes, one each; -195 breaks the connection."""
        array = (ctypes.c_int * len(codes))(*codes)
        self._library.rd_kafka_mock_push_request_errors_array(self._cluster, api, len(codes), array)

    def errors_left(self, api: Api) -> int:
        """How many of the pushed errors have not been used."""
        count = ctypes.c_size_t()
        self._library.rd_kafka_mock_broker_error_stack_cnt(self._cluster, 1, api, ctypes.byref(count))
        return count.value

    def clear_errors(self, api: Api) -> None:
        """Forget the pushed errors."""
        self._library.rd_kafka_mock_clear_request_errors(self._cluster, api)

    def push_answer(self, api: Api, code: int, milliseconds: int, broker: int = 1) -> None:
        """Answer the next request of a kind with this code (0: success) after a while."""
        function = self._library.rd_kafka_mock_broker_push_request_error_rtts
        function(
            ctypes.c_void_p(self._cluster),
            ctypes.c_int32(broker),
            ctypes.c_int16(api),
            ctypes.c_size_t(1),
            ctypes.c_int(code),
            ctypes.c_int(milliseconds),
        )

    def set_round_trip(self, milliseconds: int, broker: int = 1) -> None:
        """Let a broker take this long for each answer."""
        self._call("broker_set_rtt", broker, milliseconds)

    def set_down(self, broker: int = 1) -> None:
        """Let a broker end all connections and take no new ones."""
        self._call("broker_set_down", broker)

    def set_up(self, broker: int = 1) -> None:
        """Let a broker that is down come back."""
        self._call("broker_set_up", broker)

    def set_address(self, host: str, port: int, broker: int = 1) -> None:
        """Let the metadata name another address for a broker: that of a proxy in front of it."""
        self._library.rd_kafka_mock_broker_set_host_port(self._cluster, broker, host.encode(), port)


def load_library() -> ctypes.CDLL:
    """The shared object that Python's binding has loaded, with the types of what is used here.

    Raises:
        MockUnavailable: It is not found, or does not export the mock.
    """
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    found = sorted(folder.glob("librdkafka-*.so*"))
    if not found:
        raise MockUnavailable(f"there is no librdkafka in {folder}: the mock cluster needs confluent-kafka's own wheel")
    library = ctypes.CDLL(str(found[0]))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures = {
        "conf_new": (pointer, []),
        "conf_set": (number, [pointer, text, text, text, ctypes.c_size_t]),
        "new": (pointer, [number, pointer, text, ctypes.c_size_t]),
        "destroy": (None, [pointer]),
        "mock_cluster_new": (pointer, [pointer, number]),
        "mock_cluster_destroy": (None, [pointer]),
        "mock_cluster_bootstraps": (text, [pointer]),
        "mock_topic_create": (number, [pointer, text, number, number]),
        "mock_topic_delete": (number, [pointer, text]),
        "mock_topic_set_error": (None, [pointer, text, number]),
        "mock_partition_delete_records": (number, [pointer, text, ctypes.c_int32, ctypes.c_int64]),
        "mock_push_request_errors_array": (
            None,
            [pointer, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)],
        ),
        "mock_clear_request_errors": (None, [pointer, ctypes.c_int16]),
        "mock_broker_error_stack_cnt": (
            number,
            [pointer, ctypes.c_int32, ctypes.c_int16, ctypes.POINTER(ctypes.c_size_t)],
        ),
        "mock_broker_push_request_error_rtts": (number, None),
        "mock_broker_set_rtt": (number, [pointer, ctypes.c_int32, number]),
        "mock_broker_set_down": (number, [pointer, ctypes.c_int32]),
        "mock_broker_set_up": (number, [pointer, ctypes.c_int32]),
        "mock_broker_set_host_port": (None, [pointer, ctypes.c_int32, text, number]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, f"rd_kafka_{name}", None)
        if function is None:
            raise MockUnavailable(f"librdkafka {confluent_kafka.libversion()[0]} does not export rd_kafka_{name}")
        function.restype = result
        if arguments is not None:
            function.argtypes = arguments
    return library


def make_fatal(client: object, code: int, reason: str) -> None:
    """Let a client of Python's binding fail fatally, as after an error that leaves no way on.

    The binding does not show its handle; it is its first field behind the object's head.
    """
    library = load_library()
    library.rd_kafka_test_fatal_error.restype = ctypes.c_int
    library.rd_kafka_test_fatal_error.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
    handle = ctypes.c_void_p.from_address(id(client) + object.__basicsize__)
    library.rd_kafka_test_fatal_error(handle, code, reason.encode())
