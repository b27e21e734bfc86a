"""An exhaustive search of the chain's rule: every interleaving of a few writers on one log, not a sample of them.

    rule      what is searched: the functions of `kafka_persist._core.chain`, or a mutant of them
    world     logs and what readers make of them: the invariants about every log
    process   what one writer can do next, and what it then believes: the invariants about every answer
    explore   breadth first over all of it; budgets; the way to a violation
    command   what it prints, and its options
    profiles  how far: `tests`, `nightly`, and smaller ones with a purpose

``python -m lab.search nightly`` runs one. `docs/chain.md` says what was searched and found.
"""
