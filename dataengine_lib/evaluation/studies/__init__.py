"""Studies: arms and seeds of one experiment: the study file, and what its runs' evaluations show together."""
