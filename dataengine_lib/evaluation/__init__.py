"""Steps 1 and 6: put questions to a student (tasks, questioner, resumable, workers) or read recorded/ predictions;
then metrics, letter_bias, type_confusion, weights and bad_cases; rounds/ compares evaluations. Knows no teacher, no
training and no report."""
