"""The shared layout's local index on disk.

* `lmdb_file`: the only importer of lmdb (extra ``shared``): an environment in a directory.
* `lmdb_table`: the index of a log of events; `lmdb_rows`: of a partition of the snapshot topic.
* `trust`: whether what a directory holds may be believed, and that nobody else uses it.
"""
