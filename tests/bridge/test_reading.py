"""Short reads and long ones: bounds without a look-up, cuts, lost ends, and many at the same time."""

from __future__ import annotations

import pytest
import trio

from kafka_persist import RecoveryStalled, TopicMissing
from kafka_persist._kafka.fetcher import KNOWN_SECONDS
from kafka_persist._kafka.patience import FRESH_SECONDS
from kafka_persist.driver import Log, LogRange, OffsetGone, TopicSpec

from .conftest import append, numbers

pytestmark = pytest.mark.broker


@pytest.fixture
def topic(kafka, kafka_prefix):
    """A topic with ten records."""
    name = kafka_prefix + "t"
    kafka.create(name)
    kafka.fill(name, 10)
    return name


PLACES = [
    (None, None, range(10)),
    (0, None, range(10)),
    (4, None, range(4, 10)),
    (4, 6, range(4, 6)),
    (0, 0, range(0)),
    (10, None, range(0)),
    (-3, None, range(7, 10)),
    (-10, None, range(10)),
    (-50, None, range(10)),
]


@pytest.mark.parametrize("known", [False, True], ids=["first look", "leader known"])
@pytest.mark.parametrize(("start", "stop", "expected"), PLACES)
async def test_a_stretch_has_its_records_and_the_bounds_of_the_log(kafka, topic, start, stop, expected, known):
    async with kafka.driver() as driver:
        if known:
            await driver.scan(Log(topic), None, None)
        scan = await driver.scan(Log(topic), start, stop)
        assert numbers(scan) == list(expected)
        assert scan.range == LogRange(0, 10)
        assert scan.next_offset >= (10 if stop is None else stop)


@pytest.mark.parametrize("known", [False, True], ids=["first look", "leader known"])
@pytest.mark.parametrize("start", [None, 0, 2, 5, 7, -2, -9])
async def test_a_cut_log_is_read_from_its_start_and_says_where_that_is(kafka, topic, start, known):
    kafka.cut(topic, 5)
    async with kafka.driver() as driver:
        if known:
            await driver.scan(Log(topic), None, None)
        scan = await driver.scan(Log(topic), start, None)
    first = {None: 5, 0: 5, 2: 5, 5: 5, 7: 7, -2: 8, -9: 5}[start]
    assert numbers(scan) == list(range(first, 10))
    assert scan.range == LogRange(5, 10)


async def test_a_log_that_was_cut_empty_has_its_end(kafka, topic):
    kafka.cut(topic, 10)
    async with kafka.driver() as driver:
        for start in (None, 0, 9, 10, -1):
            scan = await driver.scan(Log(topic), start, None)
            assert (scan.range, numbers(scan)) == (LogRange(10, 10), []), start


@pytest.mark.parametrize(("start", "stop"), [(4, 15), (15, None), (15, 20), (10, 11)])
async def test_a_log_that_ends_before_what_was_seen_is_asked_again_and_then_believed(kafka, topic, start, stop):
    """Never a stall, never an empty log without its true end."""
    async with kafka.driver() as driver:
        with trio.fail_after(30):
            scan = await driver.scan(Log(topic), start, stop)
        assert scan.range.end == 10
        assert numbers(scan) == list(range(start, 10))
        async with driver.open_reader(Log(topic), 4) as reader:
            found = []
            with trio.fail_after(30):
                while records := await reader.read(15):
                    found += [int(record.value) for record in records]
        assert found == list(range(4, 10))


async def test_a_record_that_comes_while_the_end_is_doubted_is_read(kafka, topic):
    async with kafka.driver() as driver, trio.open_nursery() as nursery:
        scans = []

        async def scan() -> None:
            scans.append(await driver.scan(Log(topic), 8, 11))

        nursery.start_soon(scan)
        await append(driver, topic, b"10")
    assert numbers(scans[0]) == [8, 9, 10]


async def test_a_long_read_that_is_cut_ahead_of_it_says_so(kafka, topic):
    kafka.cut(topic, 5)
    async with kafka.driver() as driver, driver.open_reader(Log(topic), 3) as reader:
        with pytest.raises(OffsetGone, match="cut at offset 5"), trio.fail_after(30):
            await reader.read(10)


async def test_a_missing_topic_is_missing_by_the_controllers_word(kafka, kafka_prefix):
    """And it is found as soon as it is there."""
    async with kafka.driver() as driver:
        log = Log(kafka_prefix + "late")
        for _ in range(2):
            with pytest.raises(TopicMissing), trio.fail_after(30):
                await driver.scan(log, None, None)
        await driver.ensure_topics([TopicSpec(log.topic, settings=driver._config.topic_settings())])
        with trio.fail_after(30):
            assert (await driver.scan(log, None, None)).range == LogRange(0, 0)


async def test_a_missing_partition_of_a_topic_is_missing(kafka, topic):
    async with kafka.driver() as driver:
        with pytest.raises(TopicMissing, match="with partition 3"), trio.fail_after(30):
            await driver.scan(Log(topic, 3), None, None)


async def test_many_topics_that_nobody_knows_yet_are_read_at_once(kafka, kafka_prefix):
    """Each one's leader is asked for: none waits for the client's timers."""
    names = [f"{kafka_prefix}{number}" for number in range(200)]
    kafka.create(*names)
    async with kafka.driver() as driver:
        ends = []

        async def read(name: str) -> None:
            ends.append((await driver.scan(Log(name), None, None)).range)

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for name in names:
                    nursery.start_soon(read, name)
        assert ends == [LogRange(0, 0)] * 200


async def test_reads_of_one_log_at_the_same_time_each_get_their_own_stretch(kafka, topic):
    async with kafka.driver() as driver:
        found = {}

        async def read(start: int) -> None:
            found[start] = numbers(await driver.scan(Log(topic), start, None))

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for start in range(10):
                    nursery.start_soon(read, start)
    assert found == {start: list(range(start, 10)) for start in range(10)}


async def test_readers_that_leave_in_the_middle_disturb_nobody(kafka, topic):
    async with kafka.driver() as driver:
        for patience in range(40):
            with trio.move_on_after(patience / 10_000):
                await driver.scan(Log(topic), None, None)
            assert numbers(await driver.scan(Log(topic), None, None)) == list(range(10))
        for patience in range(20):
            with trio.move_on_after(patience / 5_000):
                async with driver.open_reader(Log(topic), 0) as reader:
                    await reader.read(10)
            async with driver.open_reader(Log(topic), 2) as reader:
                assert int((await reader.read(10))[0].value) == 2


async def test_a_large_log_is_read_in_slices_of_bounded_size(kafka, kafka_prefix):
    name = kafka_prefix + "t"
    kafka.create(name)
    kafka.fill(name, 300, size=10_000)
    async with kafka.driver(replay_batch_bytes=100_000) as driver:
        scan = await driver.scan(Log(name), None, None)
        assert 8 <= len(scan.records) <= 11
        assert scan.range == LogRange(0, 300)
        async with driver.open_reader(Log(name), scan.next_offset) as reader:
            found = numbers(scan)
            while records := await reader.read(300):
                assert len(records) <= 100
                found += [int(record.value) for record in records]
    assert found == list(range(300))


async def test_a_silent_broker_stalls_a_reading_in_its_time_and_a_new_one_works(kafka_server_factory):
    """The error names the cause; nothing is read as an empty log."""
    from .conftest import Kafka

    server = kafka_server_factory()
    kafka = Kafka(server.bootstrap_servers)
    kafka.create("t")
    kafka.fill("t", 3)
    async with kafka.driver(recovery_stall_timeout=2 * FRESH_SECONDS) as driver:
        assert numbers(await driver.scan(Log("t"), None, None)) == [0, 1, 2]
        server.broker.pause()
        with pytest.raises(RecoveryStalled, match="no progress for 4 s"), trio.fail_after(30):
            await driver.scan(Log("t"), None, None)
        server.broker.resume()
        with trio.fail_after(60):
            assert numbers(await driver.scan(Log("t"), None, None)) == [0, 1, 2]


def test_a_leader_is_not_taken_for_known_longer_than_the_client_remembers_it():
    """librdkafka drops the metadata of unused topics after three times ``topic.metadata.refresh.interval.ms``."""
    assert KNOWN_SECONDS < 300
