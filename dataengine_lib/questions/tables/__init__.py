"""Questions in tables (steps 0, 1, 2, 4 and 5): MMBench's and VLMEvalKit's TSV, CSV and XLSX, the hub's Parquet, and the
images inside them."""
