"""The parts of the Reviewer (step 4): its queue and session, which need no browser, and its card, filters and form.

Knows nothing of the other forms. `widgets/reviewer.py` shows them.
"""
