"""Files that the steps write whole or not at all. Knows no step and no format."""
