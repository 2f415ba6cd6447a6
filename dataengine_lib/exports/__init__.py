"""After step 4: training records in the formats of trainers, each read back by check.py, with a data card."""
