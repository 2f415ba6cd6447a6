"""Step 1: a model grades answers to open-ended questions beside the rule, and how far the two agree. It never changes a
score."""
