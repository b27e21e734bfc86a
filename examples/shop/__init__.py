"""A small shop: orders, stock, and what customers owe; see `service`."""
