"""What a run need not make anew (all steps): `current` says which steps are unchanged, `dropped` removes checkpoints
that nothing needs any more, and `sharing` is what a study offers to its runs. Knows nothing of studies themselves."""
