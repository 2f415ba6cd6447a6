"""Is a gain more than chance, and could it have been seen (step 6, studies, `dataengine plan`): tests, Holm, power."""
