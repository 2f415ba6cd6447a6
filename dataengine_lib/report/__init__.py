"""What a colleague reads: charts, galleries, tables, one HTML file a notebook, index pages, the review
widget."""
