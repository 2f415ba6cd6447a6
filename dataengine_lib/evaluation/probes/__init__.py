"""Step 1: what an accuracy rests on: without the picture, in other words and orders, and on other question sets."""
