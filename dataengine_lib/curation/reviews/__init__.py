"""Step 4: what people decide about single records: the review file, two people's files merged, Label Studio's result."""
