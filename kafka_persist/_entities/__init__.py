"""What entities and views have in common.

* `services`: what all of a `Persistence` share.
* `fold`: events become state.
* `recovery`: the latest snapshot, then the events behind it.
* `snapshots`: saves snapshots of one entity or view, by hand and every so many events.
"""
