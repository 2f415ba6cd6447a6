"""Step 1: the same questions asked in two ways: scores in pairs, and options in every rotation."""
