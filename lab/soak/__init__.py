"""The soak: what users' programs do on real brokers, faults by a seeded schedule, and a verdict over the whole history.

    plan        the rows: which faults, how often; how long calls may take
    orders      what a process is told, and its configuration
    process     what every process does beside its work
    faults      how each fault is made and healed
    network     cuts and delays, between clients and brokers and between brokers
    victims     damage to logs of their own: does the library report it?
    raw         what somebody without the library does to its topics
    service     the process of a service: entities on demand, snapshots with retention, views
    tally       their events and states, which say where they belong
    projector   the process of a read model, and the last look at all entities
    worker      the process of a writer: many ids of a bare journal, each writing in a closed loop
    watcher     the process of a reader, and the last replay of everything
    crash       a driver that kills its own process at a chosen point of a write
    crew        the processes: started, killed, stopped, replaced
    stacks      where every task and thread of a process is, on a signal
    supervisor  starts all of it, draws faults, heals, checks
    report      the verdict, for people

``python -m lab.soak --minutes 30 --brokers 3 --mode kraft``
"""
