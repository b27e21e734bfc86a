"""The cases of a journal, one module per group of promises; `probe` writes and checks the events of one id."""
