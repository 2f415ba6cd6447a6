"""Question files of every format through one check (reader), the question types (categories), diagnose/holdout
(splits), and which questions are nearly the same (similarity). Knows no model and no answers."""
