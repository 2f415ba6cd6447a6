"""Steps 1 and 2: a chat model that is asked with texts alone, within a budget; what judges and names causes uses it."""
