"""What a colleague reads: charts, galleries, HTML reports and their index."""
