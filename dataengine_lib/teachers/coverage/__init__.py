"""Which question types and images the built-in teachers can write about."""
