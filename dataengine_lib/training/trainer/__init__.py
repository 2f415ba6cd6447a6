"""Step 5: the training itself, on transformers' Trainer: passes, learning rate, saved states, progress."""
