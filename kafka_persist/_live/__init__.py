"""The registry of live entities.

cell       one entity of the registry: being opened, open, or being closed
registry   which cells there are: opens, shares, passivates; decides which idle entity goes
slots      a bound with a queue: hands out places, closes nothing
latency    how long things take, in bounded memory
tally      what the registry counts, and what it makes of it: statistics and health
policy     how often, and after which pause, a command is tried again
"""
