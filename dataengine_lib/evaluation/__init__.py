"""Steps 1, 6 and 7. A student is asked (tasks, questioner, resumable, workers; probes/ asks in further ways), or
predictions made elsewhere are read (recorded/). Answers are scored (metrics, scores/, judge/, letter_bias,
type_confusion, paired/) and become weights and bad cases (progress/ follows types over rounds). rounds/ compares
evaluations, studies/ arms. Knows no step and no report."""
