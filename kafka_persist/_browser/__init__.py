"""The event browser of ``kafka-persist browse``; the only importer of starlette, hypercorn and jinja2 (extra ``browser``).

* `serving`: hypercorn, and where it listens. `guard`: who may look: token, Host header, what a page may load.
* `app`: the addresses, and what becomes of errors. `asked`: what stands in an address.
* `library`: what pages read: ids, events, snapshots. `history`: a log's claims and fences, and how far it is published.
* `folding`: an entity's states; `differences`: what changed between two of them (pure).
* `correlation`: events of one request, across ids. `live`: new events, as they come.
* `rendering`: pages from `templates/`, everything stored in them escaped. `static/`: style and script.
"""
