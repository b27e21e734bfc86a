"""How cases are collected, run and reported; knows nothing about any single promise.

* `case`: what a case is. `subject`: the store under test, as cases see it; decides whether a case applies to it.
* `collector`: translates outcomes for pytest. `execution`: one case, with its deadline, watchdog and leaks. `generated`: property cases.
* `expect`, `history`, `recording`: comparisons, and the story that a broken promise tells.
* `elsewhere`: another process on the same data. `crash`: its death. `own_code`: what is the store's own.
* `pauses`: a thread of the store waits at a bad place. `resources`: what a store holds, by name.
* `report`, `seeds`: what came out, and how to get it again.
"""
