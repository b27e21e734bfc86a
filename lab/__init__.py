"""The project's own instruments, kept out of the wheel: they judge the library, and no program of a user needs them.

    history   what happened in a run, as lines of JSON: every write, read and publication with its outcome
    checker   reads histories in one pass and lists each promise that was broken; _known is what it remembers
    search    every interleaving of a few writers on one log, against the rule of the chain
    search_shared  the same for a log of several ids, with its index and cleaning
    soak      services, writers and readers as processes on real brokers, faults from a seed, a verdict
    fleet     processes with shards on a real broker, killed, paused and rolled by a seed, and a count of their commands
    mock      librdkafka's mock cluster: error codes and network faults on command
    steps     cancels a task at each checkpoint in turn
    prose     finds words and names that the glossary rules out

`docs/contributing.md` says how each is run; `docs/chain.md` and `docs/faults.md` say what they found.
"""
