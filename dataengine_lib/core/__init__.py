"""What all packages share: typed records of the files between steps, files written whole or appended to, text
normalisation, confidence intervals and paired tests, sandboxed prompt templates, StepConfig, and the folder in which a
notebook's paths start. Knows no model and no step."""
