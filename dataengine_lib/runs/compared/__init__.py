"""Several runs side by side (verb `compare`): the questions that they share in pairs, parameters and data that differ."""
