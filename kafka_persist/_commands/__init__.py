"""The commands of ``python -m kafka_persist``, one module each.

* `check`: the cluster's settings against what the stores need. `hints` are its rules (pure), `survey` asks the brokers.
"""
