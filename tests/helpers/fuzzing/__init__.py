"""Changed copies of every file that users give us; reading one ends in one line, or a result without silent loss.

`mutations.py` changes a file, `verdict.py` judges how it was read, `targets.py` lists the formats with their readers.
"""
