"""The stores in memory: `backend` holds the data, `journal` and `snapshots` the rules, `sizes` what Kafka rejects. See `kafka_persist.memory`."""
