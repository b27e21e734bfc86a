"""The driver of librdkafka: the only package that imports `confluent_kafka`.

Opening and waiting:

* `driver`: opens everything, implements `kafka_persist.driver.Driver`; `brokers`: where the brokers are.
* `wakeup`: librdkafka's descriptor events wake Trio, no thread waits; `handle`: what ctypes reaches, and its guard.
* `blocking`: what only blocks, in threads of its own limiter; `making`, `closing`: clients that come and go in threads.
* `errors`: what each error code means; `client`: the clients' own words, into `logging` and into error messages.

Writing and reading logs:

* `producer`: one producer, its delivery reports and retries; `producers`: those of a store.
* `fetch`: one stretch while it is read, as a state machine; `fetcher`: the consumer that reads many of them; `patience`: what
  happens without progress; `reader`: who reads with which consumer; `stream`: a long replay.
* `topics`: which exist, and creating them; `together`: questions that share a request; `admin`: the requests; `checks`:
  settings that lose data.

User-defined topics:

* `event_sink`: publishing; `transactional_sink`, `transactional_producer`, `published_offsets`: publishing exactly once.
* `group`: a consumer of published events; `assignment`, `positions`: what it has; `topic_lookups`, `lookups`, `offsets`: what it asks; `consumers`: opening it;
  `leaving`: saying goodbye to the group; `dead_letters`: what cannot be decoded.
* `shard_connections`: what shards need: the same readers for commands and replies, and a producer that sends both.
"""
