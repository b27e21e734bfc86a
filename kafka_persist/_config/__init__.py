"""The parts of `kafka_persist.config`.

`stores` (with `journal` and `snapshots`), `testserver`, `parts` and `root` are the classes, `fields` their validators, `secrets` what
keeps passwords out of sight. `catalogue` and `rules` know librdkafka's properties and which of them are not the user's to set;
`clients` merges them. `loading`, `environment`, `keys` and `refusals` turn a file and the environment into the classes;
`describing` and `effective` turn them into text.
"""
