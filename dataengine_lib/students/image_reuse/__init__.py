"""An image read once for all its questions (step 1): by its keys and values where what follows the image cannot change
them, and then all options of a question in one pass where they fit a tree; else by what the vision tower makes of it."""
