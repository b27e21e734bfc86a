"""The parts of `kafka_persist.config`.

`stores` has what journal and snapshot store share (sizes, timeouts, readers), `journal` and `snapshots` the rest of each; `parts`
their sections: topics, shared layouts and their cleaning, publishing, ZooKeeper; `testserver` and `root` complete the classes.
`fields` are their validators, `secrets` what keeps passwords out of sight. `catalogue` and `rules` know librdkafka's properties and which of them are not the user's to set;
`clients` merges them. `loading`, `environment`, `keys` and `refusals` turn a file and the environment into the classes;
`describing` and `effective` turn them into text.
"""
