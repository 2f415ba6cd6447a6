"""Step 4: candidates on their way to training data: repeats, checks, option order, a person's review, and
the tally of all that."""
