"""The shared layout's local index on disk.

* `lmdb_table`: the only importer of lmdb (extra ``shared``): one table in a directory.
* `trust`: whether what a directory holds may be believed, and that nobody else uses it.
"""
