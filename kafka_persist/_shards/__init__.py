"""Shards: the entities of one journal, shared between processes by a consumer group.

records    commands and replies as bytes
batches    which commands are executed together, and the positions that their writes move to; pure
rounds     what the commands of a batch store goes into one write: the barrier at which they meet
guarding   the journal that entities of shards are opened on: only those whose shard is here
executing  runs a batch: entities, decisions, one write, replies
worker     one shard in this process: claimed, taking commands, given up
opening    what shards are opened with, and what they tell of themselves
member     this process's part of the group: which workers there are
asking     who asks: questions on their way, and the replies that come back
ports      what is needed of Kafka
"""
