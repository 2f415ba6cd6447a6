"""The page of a run's question types (all steps): each type's funnel, cost, examples and what to do next. Computes its
figures from the frames of a run, which it is given."""
