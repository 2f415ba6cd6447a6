"""The processors of this machine and of others: how many threads a model has, and the Ray cluster that shares work out."""
