"""The journal above any `kafka_persist.driver.Driver`, Kafka's or a simulated one.

* `interface`: what a journal in Kafka can do, whatever its layout.
* `layout`: which log holds which id.
* `writing`: the way of a `write` call; `encoding`, `batch`: its atomic writes, until each is settled; `gate` bounds those
  that wait; `deadlines` notices that a call's time is up, `batch` and `idlog.give_up` decide whether it was not sent or is unknown.
* `known`: what is known of one id's log; `idlog`: the queue in front of it, with one record in flight.
* `changes`: what needs a log for itself: claim, deletion, the published mark.
* `reading`, `replay`: judged stretches of a log, and a bounded stream of events, read ahead by a task.
* `verifying`: what a walk through a log finds, for people.
* `listing`: the ids of a journal.
* `registry`: the ids that are known here, with a bound, and never one in use; `kept`: what is left of those that were forgotten; `bookmark`: a place in a log as bytes.
"""
