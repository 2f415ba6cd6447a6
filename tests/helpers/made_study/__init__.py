"""Made-up studies: files of runs, and scores alone."""
