"""The soak: writers and a reader on a real broker, faults by a seeded schedule, and a verdict over the whole history.

    plan        the rows: which faults, how often
    faults      how each is made and healed
    victims     damage to logs of their own: does the library report it?
    worker      the process of a writer: many entities, each writing in a closed loop
    watcher     the process of a reader, and the last replay of everything
    crash       a driver that kills its own process at a chosen point of a write
    supervisor  starts all of it, draws faults, heals, checks

``python -m kafka_persist_testkit soak --minutes 30 --seed 1``
"""
