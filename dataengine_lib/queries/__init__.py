"""Step 2: from bad cases and weights to prompts. sampling draws types, examples and images; image_search
finds neighbours; prompt fills the template."""
