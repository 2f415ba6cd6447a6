"""Step 2: which bad cases a prompt shows. decisions has what a person decided about single ones, example_choice chooses
those beside the first, shown_cases joins both with the causes."""
