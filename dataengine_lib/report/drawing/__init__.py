"""How every chart of the reports is drawn: its colours, its look, its wide and its narrow form; no chart of its own."""
