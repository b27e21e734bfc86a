"""Reading user-defined topics.

decoding    values to events, without Trio and without a broker
stream      the events of some topics, one at a time, with positions that follow what is finished
"""
