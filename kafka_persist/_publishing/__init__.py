"""How events get from the journal to user-defined topics.

desk            the journal's side: what each of its calls has to do about publishing
mapping         asks the user's mapper, and checks its answer
shelf           one id: what is stored and not published, and who waits for it
sweep           finds the ids with unpublished events that nobody recovers

At least once, and fire and forget:
publisher       all ids of a journal: sends what was stored, counts confirmations, puts off what fails
outbox          one id: what is sent, what is confirmed, up to where everything is
backlog         reads back from the journal what could not be sent when it was stored

Exactly once:
transactional   all ids of a journal: takes them over, one transaction after the other for each
ledger          one id: what goes into the next transaction
pauses          the ids whose transactions failed
"""
