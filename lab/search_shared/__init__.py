"""An exhaustive search of shared logs: every interleaving of a few processes on one log that holds two ids.

    protocol  what is searched: the library's chain and index, and how a process uses them; or that with a mistake in it
    world     records, logs, and what readers and indexes make of them: the invariants about every log
    process   what one process can do next, and what it then tells its callers: the invariants about every answer
    explore   breadth first over all of it
    profiles  how far: `tests`, `nightly`

``python -m lab.search_shared nightly`` runs it. `lab.search` does the same for the log of one id; `docs/chain.md` says what was found.
"""
