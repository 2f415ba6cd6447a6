"""Step 5: what is taught (texts), how data sets are mixed (data_sets, mixing), batches of examples (examples,
encoding), the fine-tuning itself, its log and its checkpoint. Knows no teacher and no checks: it reads training files
as they are."""
