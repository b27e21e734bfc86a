"""The commands of ``python -m kafka_persist``, one module each.

* `check`: the cluster's settings against what the stores need. `hints` are its rules (pure).
* `publish_pending`: publishes what dead processes left. `named` loads the program's own objects.
"""
