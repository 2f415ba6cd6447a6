"""Prompt studio: a chat model revises the rules of a prompt from what was wrong with its QAs; prompts holds the request
and what reads the reply, rule_teacher asks."""
