"""Step 2: a teacher names the causes of a type's bad cases and assigns them: prompts holds what it is asked and what reads
its replies, cause_teacher asks."""
