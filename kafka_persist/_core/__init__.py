"""Pure logic, no I/O: imports neither trio nor any client. What a record means is decided here.

* `chain`, `follower`: which records of a log count, and what the next one must look like (one writer per id).
* `envelope` (`header`, `claimant`, `entries`), `event_format`: the binary formats of journals, decoded as untrusted bytes.
* Snapshots: their bytes (`snapshot_format`, `snapshot_payload`, `snapshot_rows`, `snapshot_index_record`), what they mean
  (`snapshot_saves`), and which there are (`snapshot_index`, `snapshot_shared_index`).
* `cbor`, `plain`: CBOR within limits, and which values have a stored form.
* `items`, `index`: what stands in the records of a journal's log that several ids share, and the fold of them.
* `skipping`: why a record does not count, in words.
* `cut`: how far a deletion may cut a log.
* `selection`: which snapshot answers a query, which ones retention removes.
"""
