"""Every error code that a broker may answer with: what becomes of the record, of the request, and of the next one."""

from __future__ import annotations

import pytest
import trio
from confluent_kafka import KafkaError

from kafka_persist._kafka.errors import REFUSED, SENT_AGAIN, TOO_LARGE
from kafka_persist.driver import Fate, Log
from kafka_persist.errors import PersistenceError
from lab.mock import Api

from .conftest import append, open_mock_driver

CODES = (-1, *range(1, 134))
DISCONNECT = -195

HEALED = frozenset({code for code in SENT_AGAIN if code > 0} | {DISCONNECT})
"""The bridge sends the record again and it is stored, whoever waits notices nothing."""


async def test_every_code_in_the_answer_to_a_record_is_classified(mock):
    """A record that is said not to be stored is not in the log; one that is said to be stored is; all else is unknown."""
    found: dict[Fate, set[int]] = {fate: set() for fate in Fate}
    mock.create_topic("t")
    async with open_mock_driver(mock) as driver:
        driver._topics.ensured.add("t")
        for code in (*CODES, DISCONNECT):
            value = b"record %d" % code
            mock.push_errors(Api.PRODUCE, [code])
            ack = await append(driver, "t", value)
            mock.clear_errors(Api.PRODUCE)
            found[ack.fate].add(code)
            with trio.fail_after(10):
                while (await append(driver, "t", b"the next one")).fate is not Fate.STORED:
                    assert code == KafkaError.TOPIC_AUTHORIZATION_FAILED, "only this one the client remembers"
            log = await driver.scan(Log("t"), -20, None)
            there = value in {record.value for record in log.records}
            assert not (there and ack.fate in (Fate.REFUSED, Fate.TOO_LARGE)), code
            assert there or ack.fate is not Fate.STORED, code
    assert found[Fate.TOO_LARGE] == TOO_LARGE
    assert found[Fate.REFUSED] == {code for code in REFUSED if code > 0}
    assert found[Fate.STORED] == HEALED
    assert found[Fate.UNKNOWN] == {*CODES, DISCONNECT} - HEALED - TOO_LARGE - REFUSED


QUESTIONS = [(Api.LIST_OFFSETS, []), (Api.LIST_OFFSETS, [0]), (Api.FETCH, []), (Api.METADATA, [])]


@pytest.mark.parametrize(("api", "before"), QUESTIONS, ids=["first offset", "end", "fetch", "metadata"])
async def test_every_code_in_the_answer_to_a_reader_heals_or_is_an_error(mock, api, before):
    """A scan gives everything or raises a typed error; the next one gives everything."""
    mock.create_topic("t")
    async with open_mock_driver(mock, recovery_stall_timeout=1.0) as driver:
        driver._topics.ensured.add("t")
        for number in range(5):
            await append(driver, "t", b"%d" % number)
        for code in (*CODES, DISCONNECT):
            mock.push_errors(api, [*before, code])
            try:
                scan = await driver.scan(Log("t"), None, None)
            except PersistenceError:
                pass
            else:
                assert [record.value for record in scan.records] == [b"0", b"1", b"2", b"3", b"4"], code
            mock.clear_errors(api)
            scan = await driver.scan(Log("t"), None, None)
            assert len(scan.records) == 5, code
