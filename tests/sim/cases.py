"""What a broker does, as scripted cases: name, what is done, and what comes of it. Where the two brokers differ, the simulated one is wrong."""

from __future__ import annotations

import trio

from kafka_persist.errors import PersistenceError

from .stages import Stage, append, read_all

CASES = {}


def case(expected):
    def register(fn):
        CASES[fn.__name__] = (fn, expected)
        return fn

    return register


async def error_of(awaitable) -> str:
    try:
        await awaitable
    except PersistenceError as error:
        return type(error).__name__
    return "nothing"


async def fill(stage: Stage, count: int, **settings: str):
    driver = await stage.driver_with_topic(**settings)
    for number in range(count):
        await append(driver, stage.log, b"%d" % number)
    return driver


async def ends_at(driver, log, end: int) -> None:
    """Wait for a transaction's marker, which comes when it likes."""
    while (await driver.scan(log, None, None)).range.end < end:  # noqa: ASYNC110 - nobody tells
        await trio.sleep(0.02)


def offsets(scan):
    return [record.offset for record in scan.records]


def bounds(scan):
    return (scan.range.start, scan.range.end)


# --- appending ---------------------------------------------------------------------------------------------------


@case([("STORED", 0), ("STORED", 1), ("STORED", 2)])
async def offsets_count_up_from_zero(stage):
    driver = await stage.driver_with_topic()
    acks = [await append(driver, stage.log) for _ in range(3)]
    return [(ack.fate.name, ack.offset) for ack in acks]


@case([(b"one", b"first"), (b"two", b""), (b"two", None)])
async def keys_and_values_come_back_as_they_were(stage):
    driver = await stage.driver_with_topic()
    for key, value in ((b"one", b"first"), (b"two", b""), (b"two", None)):
        await append(driver, stage.log, value, key)
    return [(record.key, record.value) for record in (await driver.scan(stage.log, None, None)).records]


@case(([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], True))
async def records_submitted_together_land_in_the_order_of_submission(stage):
    driver = await stage.driver_with_topic()
    acks = []
    for number in range(9):
        driver.submit(stage.log, b"k", b"%d" % number, acks.append)
    await append(driver, stage.log, b"9")
    scan = await driver.scan(stage.log, None, None)
    return [int(record.value) for record in scan.records], [ack.offset for ack in acks] == list(range(9))


@case([0, 1, 2, 3])
async def two_processes_share_one_order(stage):
    one, other = await stage.driver_with_topic(), await stage.driver()
    await other.ensure_topics([stage.spec()])
    return [(await append(driver, stage.log)).offset for driver in (one, other, other, one)]


@case(("TOO_LARGE", None, (0, 0)))
async def a_record_over_the_clients_limit_is_too_large(stage):
    driver = await stage.driver(max_record_bytes=20_000, max_event_bytes=1_000)
    await driver.ensure_topics([stage.spec()])
    ack = await append(driver, stage.log, bytes(50_000))
    return ack.fate.name, ack.offset, bounds(await driver.scan(stage.log, None, None))


@case(("TOO_LARGE", None, (0, 0)))
async def a_record_over_the_topics_limit_is_too_large(stage):
    driver = await stage.driver_with_topic(max_message_bytes="2000")
    ack = await append(driver, stage.log, bytes(5000))
    return ack.fate.name, ack.offset, bounds(await driver.scan(stage.log, None, None))


@case(["STORED", "TOO_LARGE", "STORED"])
async def a_refused_record_does_not_stop_those_behind_it(stage):
    driver = await stage.driver_with_topic(max_message_bytes="2000")
    return [(await append(driver, stage.log, bytes(size))).fate.name for size in (10, 5000, 20)]


@case("UNKNOWN")
async def a_record_for_a_missing_topic_has_an_unknown_outcome(stage):
    driver = await stage.driver()
    return (await append(driver, stage.log)).fate.name


# --- scanning ----------------------------------------------------------------------------------------------------


@case(([0, 1, 2, 3, 4], (0, 5), 5))
async def a_scan_gives_everything(stage):
    driver = await fill(stage, 5)
    scan = await driver.scan(stage.log, None, None)
    return offsets(scan), bounds(scan), scan.next_offset


@case(([2, 3], (0, 5), 4))
async def a_scan_has_an_inclusive_start_and_an_exclusive_stop(stage):
    driver = await fill(stage, 5)
    scan = await driver.scan(stage.log, 2, 4)
    return offsets(scan), bounds(scan), scan.next_offset


@case(([3, 4], (0, 5), 5))
async def a_negative_start_counts_from_the_end(stage):
    driver = await fill(stage, 5)
    scan = await driver.scan(stage.log, -2, None)
    return offsets(scan), bounds(scan), scan.next_offset


@case(([], (0, 3), 3))
async def a_scan_from_the_end_gives_nothing(stage):
    driver = await fill(stage, 3)
    scan = await driver.scan(stage.log, 3, None)
    return offsets(scan), bounds(scan), scan.next_offset


@case(([], (0, 3)))
async def a_scan_from_beyond_the_end_gives_nothing(stage):
    driver = await fill(stage, 3)
    scan = await driver.scan(stage.log, 7, None)
    return offsets(scan), bounds(scan)


@case(([], (0, 0), 0))
async def an_empty_log_has_nothing(stage):
    driver = await stage.driver_with_topic()
    scan = await driver.scan(stage.log, None, None)
    return offsets(scan), bounds(scan), scan.next_offset


@case("TopicMissing")
async def a_missing_topic_is_missing(stage):
    driver = await stage.driver()
    return await error_of(driver.scan(stage.log, None, None))


@case(([0, 1], (0, 2), 2))
async def a_scan_to_beyond_the_end_gives_what_there_is(stage):
    driver = await fill(stage, 2)
    scan = await driver.scan(stage.log, None, 5)
    return offsets(scan), bounds(scan), scan.next_offset


@case(([], (0, 2), 2))
async def a_scan_from_the_end_to_beyond_it_gives_nothing(stage):
    driver = await fill(stage, 2)
    scan = await driver.scan(stage.log, 2, 3)
    return offsets(scan), bounds(scan), scan.next_offset


@case([0, 1, 2])
async def a_reader_ends_where_the_log_ends_below_its_stop(stage):
    driver = await fill(stage, 3)
    return [offset for batch in await read_all(driver, stage.log, 0, 5) for offset in batch]


@case(True)
async def a_scan_gives_about_a_batch_and_says_where_to_go_on(stage):
    driver = await stage.driver(replay_batch_bytes=1024)
    await driver.ensure_topics([stage.spec()])
    for _ in range(20):
        await append(driver, stage.log, bytes(300))
    scan = await driver.scan(stage.log, None, None)
    return 2 <= len(scan.records) <= 20 and scan.next_offset == scan.records[-1].offset + 1


# --- reading on ----------------------------------------------------------------------------------------------------


@case([0, 1, 2, 3, 4, 5])
async def a_reader_gives_everything_below_its_stop(stage):
    driver = await fill(stage, 8)
    return [offset for batch in await read_all(driver, stage.log, 0, 6) for offset in batch]


@case([])
async def a_reader_at_its_stop_gives_nothing(stage):
    driver = await fill(stage, 3)
    return await read_all(driver, stage.log, 3, 3)


@case("OffsetGone")
async def a_reader_below_the_logs_start_is_told(stage):
    driver = await fill(stage, 6)
    await driver.delete_before(stage.log, 4)
    return await error_of(read_all(driver, stage.log, 1, 6))


@case("OffsetGone")
async def a_reader_beyond_the_logs_end_is_told(stage):
    driver = await fill(stage, 3)
    return await error_of(read_all(driver, stage.log, 7, 9))


@case([])
async def a_reader_at_the_end_of_a_log_that_is_too_short_ends(stage):
    driver = await fill(stage, 3)
    return await read_all(driver, stage.log, 3, 5)


# --- deleting ------------------------------------------------------------------------------------------------------


@case(([2, 3, 4], (2, 5)))
async def a_cut_moves_the_start(stage):
    driver = await fill(stage, 5)
    await driver.delete_before(stage.log, 2)
    scan = await driver.scan(stage.log, None, None)
    return offsets(scan), bounds(scan)


@case(([3, 4], (3, 5)))
async def a_lower_cut_changes_nothing(stage):
    driver = await fill(stage, 5)
    await driver.delete_before(stage.log, 3)
    await driver.delete_before(stage.log, 1)
    scan = await driver.scan(stage.log, 0, None)
    return offsets(scan), bounds(scan)


@case(("refused", (0, 3)))
async def a_cut_beyond_the_end_is_refused(stage):
    driver = await fill(stage, 3)
    try:
        await driver.delete_before(stage.log, 9)
        answer = "done"
    except PersistenceError:
        answer = "refused"
    return answer, bounds(await driver.scan(stage.log, None, None))


@case(((4, 4), 4, [4]))
async def a_log_that_was_cut_to_its_end_goes_on_counting(stage):
    driver = await fill(stage, 4)
    await driver.delete_before(stage.log, 4)
    before = bounds(await driver.scan(stage.log, None, None))
    offset = (await append(driver, stage.log)).offset
    return before, offset, offsets(await driver.scan(stage.log, None, None))


# --- topics ----------------------------------------------------------------------------------------------------------


@case((False, True))
async def ensure_creates_what_is_missing(stage):
    driver = await stage.driver()
    before = stage.topic in await driver.topic_names()
    await driver.ensure_topics([stage.spec()])
    return before, stage.topic in await driver.topic_names()


@case((0, 1))
async def ensure_leaves_what_is_there(stage):
    await fill(stage, 1)
    other = await stage.driver()
    await other.ensure_topics([stage.spec()])
    return bounds(await other.scan(stage.log, None, None))


@case("TopicSettingsRefused")
async def settings_that_lose_data_are_refused(stage):
    await stage.create(cleanup_policy="compact")
    driver = await stage.driver()
    return await error_of(driver.ensure_topics([stage.spec()]))


@case("TopicMissing")
async def a_missing_topic_that_may_not_be_created_is_missing(stage):
    from kafka_persist.config import TopicsConfig

    driver = await stage.driver(topics=TopicsConfig(create=False))
    return await error_of(driver.ensure_topics([stage.spec()]))


@case((0, (0, 1)))
async def a_recreated_topic_counts_from_zero(stage):
    await fill(stage, 5)
    await stage.recreate()
    other = await stage.driver()
    ack = await append(other, stage.log)
    return ack.offset, bounds(await other.scan(stage.log, None, None))


@case(True)
async def topics_are_listed(stage):
    driver = await stage.driver_with_topic()
    return stage.topic in await driver.topic_names()


# --- strangers -------------------------------------------------------------------------------------------------------


@case(([0, 1, 3], (0, 4), 4))
async def a_transactions_marker_takes_an_offset(stage):
    driver = await stage.driver_with_topic()
    await append(driver, stage.log, b"committed")
    await stage.abort_transaction()
    await ends_at(driver, stage.log, 3)
    await append(driver, stage.log, b"behind")
    scan = await driver.scan(stage.log, None, None)
    return offsets(scan), bounds(scan), scan.next_offset


@case(((0, 2), 2))
async def a_marker_at_the_end_is_read_over(stage):
    driver = await stage.driver_with_topic()
    await stage.abort_transaction()
    await ends_at(driver, stage.log, 2)
    scan = await driver.scan(stage.log, None, None)
    return bounds(scan), scan.next_offset
