"""The snapshot store above any `kafka_persist.driver.Driver`, Kafka's or a simulated one.

* `jobs`: each call runs in the store's nursery, so that closing the store ends it; one writer per id at a time.
* `topic`: one id's topic during one call: looking at its index, reading stretches, appending.
* `saving`, `loading`, `removing`: what the three kinds of calls do with it.

What the records mean is decided in `kafka_persist._core.snapshot_index`, their bytes in `_core.snapshot_format`.
"""
