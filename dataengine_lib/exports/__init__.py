"""Training records as trainers read them, each read back by check.py, with a data card."""
