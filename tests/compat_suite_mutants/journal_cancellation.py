"""Journals that break promises about cancellation."""
