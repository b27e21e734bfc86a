"""A teller on a journal that acknowledges events 40 to 45 and does not store them."""

import runpy
import sys
from pathlib import Path

import trio

from kafka_persist.journal import TopicPerIdJournal

store = TopicPerIdJournal.write


async def write(journal, writes):
    if 40 <= writes[0].first_sequence_nr <= 45:
        await trio.lowlevel.checkpoint()
        return [None]
    return await store(journal, writes)


TopicPerIdJournal.write = write
examples = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(examples))
runpy.run_path(str(examples / "teller.py"), run_name="__main__")
