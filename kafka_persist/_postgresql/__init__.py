"""PostgreSQL's client: the only importers of psycopg (extra ``postgresql``); used synchronously, in a worker thread.

* `answers`: what an error of the client or the server means to a read model.
* `session`: a connection that is made when it is needed; transactions on it.
* `tables`: the tables of a read model's store, and what is done with them inside a transaction.
"""
