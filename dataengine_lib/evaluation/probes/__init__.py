"""Step 1: what an accuracy rests on: other orders of the options, no picture, other words, and other question sets."""
