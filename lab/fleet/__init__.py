"""A fleet of processes with shards on a real broker: commands from all of them, processes killed, paused and restarted, and a count.

service     one process: shards, and askers that write down what they were told
supervisor  starts the processes, disturbs them by a seed, counts the events
"""
