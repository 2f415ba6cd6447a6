"""Prompt studio: versions of a prompt, which differ in their list of rules. rule_template puts a list of rules into
prompts and templates, version_folder keeps the versions with their lineage, trials says what came of a version's QAs, marks
what was wrong with them, and studio_budget what the next requests may cost. Asks no teacher and knows no Config."""
