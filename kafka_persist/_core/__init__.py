"""Pure rules of the store: no I/O, no Trio, no client. What a record means is decided here."""
