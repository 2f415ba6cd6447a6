"""Step 5 in several processes: the command that starts them, what each of them knows of the others, and their end."""
