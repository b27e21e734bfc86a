"""What tests of several folders need.

* `writer`: one incarnation of an entity, and its atomic writes.
* `waiting`: waiting for what only a broker's answers bring about.
* `postgresql`: a real PostgreSQL server.
* `transactions`: a raw client's transactions, for those who read beside them.
"""
