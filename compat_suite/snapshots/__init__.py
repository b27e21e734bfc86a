"""The cases of a snapshot store, one module per group of promises; `probe` saves and checks the snapshots of one id."""
