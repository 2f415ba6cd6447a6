"""Records of the steps as pandas DataFrames: answers, bad cases, queries, replies, QAs, comparison, figures by type.
columns holds every column's name, dtype and meaning; one module per frame. Knows no Config and no folder of a run."""
