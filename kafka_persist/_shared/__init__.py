"""The shared layout: a fixed number of logs holds all ids, and a process owns a log while it writes to it.

* `place`: which log holds which id; `contents`: what stands in a record.
* `indexed`: one log with its index; `log`: the queue in front of it: the waiting writes of all ids are the next record.
* `settling`: what became of a record without an answer.
* `waiting`: what waits for the next record.
* `pending`: an id's writes that are under way; `order`: the order of its calls while it is being claimed.
* `writers`: who may write an id's events in the process that owns the log.
* `shard`: who owns a log: claimed when somebody wants to write, looked at again before anybody is told what is stored.
* `deleting`: deletions, of which the owner's way is another one than that of other processes.
* `riding`: what the next record says: no look is needed then.
* `cleaning`: what is alive in the oldest part is appended again, and that part cut off.
* `publication`: what the journal's calls have to do about user-defined topics; `outbox` hands a log's events over, and `ladder` knows
  where to begin to read them back.
* `commands`: a log as a shard uses it, with the position in the command topic; `unit` keeps the writes of commands in order.
* `encoding`, `replay`: from writes to items of a record, and from the index to events.
* `store`: the journal of all that.
"""
