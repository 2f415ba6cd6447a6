"""What crosses the steps: records, files, splits, image pools, categories."""
