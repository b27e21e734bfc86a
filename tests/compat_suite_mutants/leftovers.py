"""Threads that mutants leave behind, and how to end them."""

import threading

_ENDS = []


def leave_a_thread():
    """Start a thread that nobody ends, except `end`."""
    over = threading.Event()
    _ENDS.append(over)
    threading.Thread(target=over.wait, args=(60.0,), daemon=True, name="left behind").start()


def end():
    """End all of them."""
    while _ENDS:
        _ENDS.pop().set()
