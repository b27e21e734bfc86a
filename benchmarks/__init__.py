"""Benchmarks: this library beside the raw client, alternately, on one broker, in one run.

Only ratios of one run mean something: machines are noisy, absolute figures lie.

* `raw`: the loops of somebody who uses confluent-kafka directly, with the settings that are best for it.
* `ours`: the same work through the journal.
* `fill`: topics with known contents.
* `cases`: what is compared, and the goals. `harness`: rounds, ratios, the table. `memory`: bytes instead of seconds.

``python -m benchmarks --help``
"""
