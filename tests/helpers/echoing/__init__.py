"""A server that repeats every secret it is sent, and the texts by which a leak is found."""
