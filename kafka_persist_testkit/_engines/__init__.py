"""Where a server comes from: `java` (processes of our own), `docker` (the official image), `external` (addresses given).

`base` is what all give, `choice` picks one, `plan` lays out ports, directories and files, `commands` are the command lines, `kraft`
formats, `kept` finds a kept server; `distribution`, `jars`, `_maven`, `pin`: the software.
"""
