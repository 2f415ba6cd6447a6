"""Reports of all steps: charts, galleries, tables, an HTML file for each notebook, index pages, the review widget.
Runs no step and knows no Config."""
