"""Reports of all steps: charts, galleries, tables, an HTML file for each notebook, index pages.
Runs no step and knows no Config."""
