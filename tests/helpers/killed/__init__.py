"""Step 3 in processes that tests kill: how they are started, and a whole run of kills."""
