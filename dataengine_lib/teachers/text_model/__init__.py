"""Steps 1 and 2, prompt studio: a chat model that is asked with texts alone, within a budget; what judges, names causes
and revises rules uses it."""
