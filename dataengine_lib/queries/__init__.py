"""Step 2: from bad cases and weights to prompts. bad_cases reads them, sampling draws types, examples and images,
query_pool knows which images are free, image_search finds neighbours, prompt fills the template, query_writer makes
the queries; causes groups the bad cases of a type; preview and type_shares are for the report. Sends nothing: it knows
no teacher and no student."""
