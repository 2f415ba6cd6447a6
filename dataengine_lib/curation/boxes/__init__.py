"""Step 4: what a record says of counts, presence and places, held against the boxes of its image."""
