"""Step 4: checks what a record claims about numbers, presence, places and sizes against the boxes of its image."""
