"""Report of step 6: accuracies and gains round by round, as tables, as a chart, and as a small chart for index pages."""
