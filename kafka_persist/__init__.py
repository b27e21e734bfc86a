"""kafka_persist."""
