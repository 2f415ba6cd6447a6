"""Files that people write by hand, read within limits: any fault is one line with its place (all steps)."""
