"""Steps 1, 6 and 7: put questions to a student (tasks, questioner, resumable, workers) or read recorded/ predictions;
then metrics, letter_bias, type_confusion, weights and bad_cases; rounds/ compares evaluations, studies/ arms. Knows no
teacher, no training and no report."""
