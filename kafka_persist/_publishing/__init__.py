"""How events get from the journal to user-defined topics.

service             the journal's side: what each of its calls has to do about publishing; puts the parts together
routing             asks the user's mapper, and checks its answer
event_topics        tells user-defined topics from journal topics; creates them; which are ready
progress            one id: what is stored and not published, who waits for it, what is in flight
context             what all ids share: what a publisher works with, and the bound on what is in flight
publisher           the interface of the two ways to publish
traced              sinks that tell a tracing system of each event
retry               the ids whose publishing failed, each after its own pause
id_discovery        finds the ids with unpublished events that nobody recovers

At least once, and fire and forget:
at_least_once       all ids of a journal: sends what was stored; reads back what could not be sent then

Exactly once:
exactly_once        all ids of a journal: takes them over, one transaction after the other for each
transaction_queue   one id: what goes into the next transaction
"""
