"""A producer that fails for good ends the journal's block with one error that says so."""

from __future__ import annotations

import pytest
import trio

from kafka_persist import JournalBroken


class Fatal:
    """What librdkafka's ``error_cb`` gets."""

    def fatal(self) -> bool:
        return True

    def code(self) -> int:
        return -150

    def name(self) -> str:
        return "_FATAL"

    def str(self) -> str:
        return "made by the test"


async def test_a_fatal_error_of_a_producer_ends_the_block(kafka):
    with trio.fail_after(20), pytest.raises(JournalBroken, match="failed for good"):
        async with kafka.open() as journal:
            await trio.to_thread.run_sync(journal._driver._note, Fatal())
            await trio.sleep_forever()
