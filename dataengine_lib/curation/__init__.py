"""Step 4: candidates on their way to training data: repeats, checks, option order, a person's review, and their counts.

The checks beyond format run in `checks.py`; their settings are in `settings.py`, what they set in
`check_results.py`. Knows no training and no report.
"""
