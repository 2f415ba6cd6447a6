"""Servers: one that repeats every secret it is sent, with the texts by which a leak is found, and one that lists tokens."""
