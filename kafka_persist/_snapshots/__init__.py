"""The snapshot store above any `kafka_persist.driver.Driver`, Kafka's or a simulated one.

* `jobs`: each call runs in the store's nursery, so that closing the store ends it; one writer per id at a time.
* `interface`: an id's records during one call: which snapshots there are, reading stretches, appending; and a layout.
* `topic`: the layout with a topic for each id. `shared`: the one with a topic for all; its `partition` keeps an index, and
  `recent` has the small records that came last.
* `saving`, `loading`, `removing`: what the three kinds of calls do, the same code for both layouts; every tombstone is written by
  `removing`, except those of a given-up upload (`saving`).

What the records mean is decided in `kafka_persist._core.snapshot_saves`, which of them are there in `_core.snapshot_index`
and `_core.snapshot_shared_index`, their bytes in `_core.snapshot_format`.
"""
