"""Finding Kafka's brokers through ZooKeeper: the only package that imports kazoo, and only when it is used.

* `registrations`: what brokers write about themselves, read as untrusted text (pure).
* `discovery`: the list of brokers as it changes.
"""
