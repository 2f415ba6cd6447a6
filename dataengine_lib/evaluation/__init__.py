"""Steps 1 and 6: put questions to a student (questioner, resumable, workers) or read recorded/ predictions,
then metrics, letter_bias, type_confusion, weights, comparison."""
