"""Claims an id and writes pairs of events until somebody stops or kills the process; says what happened, line by line.

python writer.py BOOTSTRAP_SERVERS PERSISTENCE_ID [POINT NUMBER]

``stored N``: the events up to N are. An error's name: this incarnation is finished; a line on stdin begins the next one. With a
point of `crash.POINTS` and a number the process kills itself there, in that append.
"""

import sys
import uuid

import trio

from kafka_persist import AtomicWrite, JournalConfig, PersistentRepr
from kafka_persist._kafka.driver import open_driver
from kafka_persist.errors import WriteError
from kafka_persist.journal import open_journal_on
from lab.soak.crash import CrashingDriver


def say(*words: object) -> None:
    print(*words, flush=True)


async def write_pairs(journal, pid: str) -> None:
    writer = uuid.uuid4()
    number = await journal.claim(pid, writer)
    while True:
        pair = [
            PersistentRepr(persistence_id=pid, sequence_nr=each, payload=f"{writer} {each}", writer=writer)
            for each in (number + 1, number + 2)
        ]
        await journal.write([AtomicWrite(pair)])
        number += 2
        say("stored", number)


async def work(servers: str, pid: str, point: str = "", number: str = "0") -> None:
    config = JournalConfig(bootstrap_servers=servers)
    async with open_driver(config) as driver:
        crashing = CrashingDriver(driver, point, int(number)) if point else driver
        async with open_journal_on(crashing, config) as journal:
            while True:
                try:
                    await write_pairs(journal, pid)
                except WriteError as error:
                    say(type(error).__name__)
                if not await trio.to_thread.run_sync(sys.stdin.readline):
                    return


trio.run(work, *sys.argv[1:])
