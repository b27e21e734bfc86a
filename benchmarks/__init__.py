"""Benchmarks: this library beside the raw client, alternately, on one broker, in one run.

Only ratios of one run mean something: machines are noisy, absolute figures lie.

* `raw`, `raw_topics`: the loops of somebody who uses confluent-kafka directly, with the settings that are best for it.
* `ours`: the same work through the journal. `fill`: topics with known contents. `bench`: the broker and both sides' clients.
* `steady`, `opening`, `workloads`, `memory`: the rows, with their goals. `rows`: all of them, and the brokers they share.
* `harness`: rounds, ratios, the table.
* `publishing`, `streams`, `starts`: programs of their own: what publishing costs; many small streams in both layouts, beside other event
  stores; how long a TestServer takes to start, beside the bare processes.

``python -m benchmarks --help``; ``docs/performance.md`` explains the rows.
"""
