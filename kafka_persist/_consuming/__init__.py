"""Reading user-defined topics.

decoding           values to events, without Trio and without a broker
stream             the events of some topics, one at a time, with positions that follow what is finished
projection_store   what a projection needs of the store of its read model
applying           records to that store, in their order
group_member       one process's part of a read model that several share
failing            what happens with those that fail
"""
