"""What a page shows around a notebook's displays: the order of its sections, its contents, the facts at its head."""
