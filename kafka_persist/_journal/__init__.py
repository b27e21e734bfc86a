"""The journal above any `kafka_persist.driver.Driver`, Kafka's or a simulated one.

* `layout`: which log holds which id.
* `batch`: one `write` call and the atomic writes in it, until each is settled.
* `idlog`: one id's log in this process: its head, the queue in front of it, one record in flight.
* `reading`: judged records of a stretch of a log.
* `replay`: a bounded stream of events, prefetched by a task of the journal's nursery.
* `registry`: the ids that are known here, with a bound.
"""
