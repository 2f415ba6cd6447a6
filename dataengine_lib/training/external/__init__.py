"""Step 5, `trainer: command`: another trainer's command, run on the drawn rows, and its checkpoint taken over.

Knows no trainer by name: its command, its config's template and the format of its data are parameters.
"""
