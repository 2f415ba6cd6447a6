"""Step 5: the parameters of what is drawn from new and base data, and the share of base data by what was forgotten."""
