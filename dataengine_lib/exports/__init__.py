"""After step 4: training records in the formats of trainers, each read back by check.py, with a data card. Knows no
model, no server and no check of step 4."""
