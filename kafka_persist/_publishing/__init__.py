"""How events get from the journal to user-defined topics.

mapping     asks the user's mapper, and checks its answer
outbox      one id: what is sent, what is confirmed, up to where everything is
publisher   all ids of a journal: sends what was stored, counts confirmations, puts off what fails
backlog     reads back from the journal what could not be sent when it was stored
sweep       finds the ids with unpublished events that nobody recovers
"""
