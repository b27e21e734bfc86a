"""What entities and views have in common.

* `services`: what all of a `Persistence` share.
* `fold`: events become state.
* `recovery`: the latest snapshot, then the events behind it.
* `snapshots`: saves snapshots of one entity or view, by hand and by themselves; `retention`: when, and what is deleted then.
* `writes`: from events to the atomic write that stores them.
* `keys`, `repeating`: idempotency keys, and what a command with one returned when it took effect.
* `stopping`: what an entity that has stopped says to every later call.
* `log`: log lines with a stable name.
"""
