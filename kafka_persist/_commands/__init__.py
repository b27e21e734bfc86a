"""The command line, a module for each command; the only importer of click and rich, which the extra ``cli`` brings.

* `main`: the command itself and its list of subcommands. `frame`: exit codes, shared options, errors of one line.
  `output`: tables, plain lines and JSON. `named` loads the program's own objects.
* `ids`, `show`, `tail`, `snapshots`, `state`: what is stored. `stores` opens it so that nothing is taken over or created;
  `plain_json` is plain data as JSON, and back.
* `verify`: walks the logs and reports; `verifiers` know which logs there are in each layout.
* `exporting`, `importing`: ids as lines of JSON, and back; `portable` is their format (pure), `portable_io` stores it and
  reads it back. `copying`: from journal to journal. `deleting`: old events, or
  all of an id. `progress`: how far long work is.
* `browse`: a page that shows what is stored; the page itself is `_browser`.
* `settings`: the configuration in effect. `completion`: for shells.
* `check`: the cluster's settings against what the stores need. `hints` are its rules (pure).
* `publish_pending`: publishes what dead processes left. `lag`: how far publication and consumers are behind.
* `topics`: what each topic is for. `server`: the test kit's.
"""
