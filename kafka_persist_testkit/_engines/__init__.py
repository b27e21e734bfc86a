"""Where a server comes from: `java` (processes of our own), `docker` (the official image), `external` (addresses given)."""
