"""What all packages share: typed records of the files between steps, files read in any form and written whole or
appended to, rows that are left out and counted, what a file is instead of what was expected, secrets and their masking,
YAML and templates within limits, what a model's folder must hold, text normalisation, confidence intervals and paired
tests, StepConfig, the folder in which a notebook's paths start, and how many threads a model has. Knows no step, and
loads no model."""
