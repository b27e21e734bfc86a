"""What answers at the address is no Kafka broker: the error says so, and does not pass on the client's advice to raise a limit."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from confluent_kafka import KafkaError

from kafka_persist import ConnectError, JournalConfig, open_journal
from kafka_persist._kafka.errors import MISSING, UNREACHABLE, broker_error
from kafka_persist.errors import TopicMissing


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "an HTTP server answers there, not a Kafka broker"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no Kafka broker, or wants another security.protocol"),
    ],
    ids=["http", "ssh"],
)
async def test_another_protocol(answer, told):
    async def serve(stream):
        async with stream:
            await stream.receive_some()
            await stream.send_all(answer)
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listener, *_ = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        config = JournalConfig(bootstrap_servers=f"127.0.0.1:{listener.socket.getsockname()[1]}", connect_timeout=1.0)
        with pytest.raises(ConnectError) as caught:
            async with open_journal(config):
                pass
        nursery.cancel_scope.cancel()
    assert told in str(caught.value)
    assert "receive.message.max.bytes" not in str(caught.value)


PASSING = (
    KafkaError.UNKNOWN,
    KafkaError.NOT_CONTROLLER,
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._NOENT,
    KafkaError._TRANSPORT,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)
"""Each of these was once taken for final, or for "there is no such topic"."""


@pytest.mark.parametrize("code", sorted({*UNREACHABLE, *MISSING, *PASSING}))
def test_what_passes_is_retriable_and_proves_nothing(code):
    error = broker_error(KafkaError(code), "asking")
    assert error.retriable
    assert not isinstance(error, TopicMissing)
