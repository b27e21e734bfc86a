"""Persists numbers on an entity until somebody kills the process, and prints those that are durable.

python worker.py BOOTSTRAP_SERVERS PREFIX PERSISTENCE_ID
"""

import sys

import trio

from kafka_persist import Config, EventProducerConfig, JournalConfig, SnapshotStoreConfig, open_persistence


async def work(servers, prefix, persistence_id):
    config = Config(
        journal=JournalConfig(
            bootstrap_servers=servers,
            prefix=prefix,
            event_producer=EventProducerConfig(topic_mapper_class="kafka_persist.publishing:EmptyEventTopicMapper"),
        ),
        snapshot_store=SnapshotStoreConfig(prefix=f"snapshot-{prefix}"),
    )
    async with (
        open_persistence(config) as persistence,
        persistence.entity(
            persistence_id, initial=0, evolve=lambda total, number: total + number, snapshot_every=25
        ) as entity,
    ):
        while True:
            await entity.persist(entity.sequence_nr + 1, entity.sequence_nr + 2)
            print(entity.sequence_nr, flush=True)


trio.run(work, *sys.argv[1:])
