"""What one run does while it works: its steps one after the other, its state, and the page of each step (all steps)."""
