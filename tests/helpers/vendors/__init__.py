"""Servers as they are found: how each vendor's replies and errors look, a local server that speaks like one of them, and
what asks it in steps 0, 1, 3 and 4."""
