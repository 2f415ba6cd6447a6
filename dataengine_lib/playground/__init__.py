"""The offline world of demo and tests: world and scene_layout (what a scene is), drawing/ (its picture), captions,
questions with their answer_tables, sets (the files); and a scripted teacher, with its prompt_rules, and reader behind a
local OpenAI-compatible server. Knows no step, no student and no report."""
