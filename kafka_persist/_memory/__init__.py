"""The stores in memory: `backend` holds the data, `journal` and `snapshots` the rules. See `kafka_persist.memory`."""
