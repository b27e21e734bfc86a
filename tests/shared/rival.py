"""Another process that uses an id of the same log: `python rival.py SERVERS PREFIX`; a line of input is a write."""

from __future__ import annotations

import os
import sys
import uuid

import trio

from kafka_persist import AtomicWrite, JournalConfig, PersistenceError, PersistentRepr, Serializer, open_journal
from kafka_persist.config import EventProducerConfig, SharedConfig
from kafka_persist.publishing import EmptyEventTopicMapper

ID = "the rival's"


def config_of(servers, prefix, host):
    return JournalConfig(
        bootstrap_servers=servers,
        layout="shared",
        shared=SharedConfig(partitions=1),
        prefix=prefix,
        host_name=host,
        event_producer=EventProducerConfig(topic_mapper_class="kafka_persist.publishing:EmptyEventTopicMapper"),
    )


def write_of(pid, writer, number):
    return AtomicWrite(
        [PersistentRepr(persistence_id=pid, sequence_nr=number, payload=number, writer=writer, timestamp=1)]
    )


async def main(servers, prefix):
    writer = uuid.uuid4()
    config = config_of(servers, prefix, "host-b")
    async with open_journal(config, serializer=Serializer(), event_topic_mapper=EmptyEventTopicMapper()) as journal:
        highest = await journal.claim(ID, writer)
        print(os.getpid(), flush=True)
        while await trio.to_thread.run_sync(sys.stdin.readline):
            highest += 1
            try:
                await journal.write([write_of(ID, writer, highest)])
                print("stored", flush=True)
            except PersistenceError as error:
                print(type(error).__name__, error, flush=True)


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
