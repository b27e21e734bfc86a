"""Kill a publishing process at random points, again and again, and see what its events' topic holds at the end.

``python tests/publishing/crash.py --times 200`` starts a Kafka of its own and prints one line of figures. The process that
is killed claims three ids and writes to them without pause; the next one takes over. At the end every id's journal is
compared with the topic, as one sees it who reads committed records: nothing missing, nothing that the journal does not
have, the first occurrences in order, and with ``--mode exactly-once`` nothing twice.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid

import trio
from committed import settle
from confluent_kafka import Consumer, TopicPartition

from kafka_persist import (
    AtomicWrite,
    EventDecoder,
    EventProducerConfig,
    EventTopicMapper,
    JournalConfig,
    PersistentRepr,
    open_journal,
)
from kafka_persist_testkit import TestServer

IDS = ("a", "b/2", "c")
LONGEST = {"exactly-once": 1.2}
"""Seconds from the first write to the latest kill, if not 0.3: the first transaction begins later than the first write."""


class Mapper(EventTopicMapper):
    def __init__(self, topic):
        self.topic = topic

    def topics_for(self, event):
        return (self.topic,)


def opened(servers, prefix, mode):
    config = JournalConfig(
        bootstrap_servers=servers, prefix=f"{prefix}j-", event_producer=EventProducerConfig(mode=mode)
    )
    return open_journal(config, event_topic_mapper=Mapper(f"{prefix}published"))


async def write_for_ever(journal, persistence_id):
    writer = uuid.uuid4()
    number = await journal.claim(persistence_id, writer)
    while True:
        count = random.choice((1, 1, 1, 2, 5))
        events = [
            PersistentRepr(persistence_id=persistence_id, sequence_nr=number + place, payload=place, writer=writer)
            for place in range(1, count + 1)
        ]
        await journal.write([AtomicWrite(events)])
        os.write(1, b"w")
        number += count


async def victim(servers, prefix, mode):
    async with opened(servers, prefix, mode) as journal, trio.open_nursery() as nursery:
        for persistence_id in IDS:
            nursery.start_soon(write_for_ever, journal, persistence_id)


def kill_one(servers, prefix, mode):
    """Fork a victim (this process has no client and no thread), and kill it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(writing, 1)
        random.seed()
        trio.run(victim, servers, prefix, mode)
        os._exit(1)
    os.close(writing)
    if random.random() < 0.1:
        time.sleep(random.uniform(0, 0.2))  # in the middle of a recovery
    else:
        os.read(reading, 1)
        time.sleep(random.uniform(0, LONGEST.get(mode, 0.3)))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(reading)


async def journals(servers, prefix, mode):
    """What counts in the end, by id, after everything pending was published."""
    stored = {}
    async with opened(servers, prefix, mode) as journal:
        await journal.publish_pending()
        for persistence_id in IDS:
            async with journal.replay(persistence_id) as events:
                stored[persistence_id] = [event.sequence_nr async for event in events]
    return stored


def topic(servers, name, isolation):
    """The published sequence numbers, by id, in the topic's order."""
    settle(servers, name)
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "crash",
            "enable.partition.eof": True,
            "isolation.level": isolation,
        }
    )
    ends = consumer.list_topics(name).topics[name].partitions
    consumer.assign([TopicPartition(name, each, 0) for each in ends])
    found, open_ends, decode = collections.defaultdict(list), len(ends), EventDecoder()
    while open_ends:
        message = consumer.poll(10)
        if message.error() is not None:
            open_ends -= 1
        else:
            event = decode(message.value())
            found[event.persistence_id].append(event.sequence_nr)
    consumer.close()
    return found


def judge(stored, published):
    """Count what is missing, alien, repeated and out of order."""
    figures = collections.Counter()
    for persistence_id, numbers in stored.items():
        seen = published[persistence_id]
        first = list(dict.fromkeys(seen))
        figures["stored"] += len(numbers)
        figures["published"] += len(seen)
        figures["missing"] += len(set(numbers) - set(seen))
        figures["alien"] += len(set(seen) - set(numbers))
        figures["repeated"] += len(seen) - len(first)
        figures["out of order"] += first != sorted(first)
    return figures


def run(servers, times, mode):
    prefix = f"crash-{uuid.uuid4().hex[:8]}-"
    for _ in range(times):
        kill_one(servers, prefix, mode)
    stored = trio.run(journals, servers, prefix, mode)
    everything = topic(servers, f"{prefix}published", "read_uncommitted")
    figures = judge(stored, topic(servers, f"{prefix}published", "read_committed"))
    figures["in transactions that did not count"] = sum(map(len, everything.values())) - figures["published"]
    return figures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--mode", default="at-least-once")
    parser.add_argument("--bootstrap")
    options = parser.parse_args()
    if options.bootstrap is None:
        with TestServer() as server:
            command = [sys.executable, *sys.argv, "--bootstrap", server.bootstrap_servers]
            sys.exit(subprocess.run(command, check=False).returncode)
    figures = run(options.bootstrap, options.times, options.mode)
    print(json.dumps(figures))
    wrong = figures["missing"] + figures["alien"] + figures["out of order"]
    sys.exit(wrong + (figures["repeated"] if options.mode == "exactly-once" else 0) > 0)


if __name__ == "__main__":
    main()
