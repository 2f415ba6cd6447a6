"""What every part is written in: the records that cross the steps, whole files and append-only files, the levels at
which two texts are the same, intervals and paired statistics, the sandboxed prompt template, StepConfig. Knows no model
and no step."""
