"""What would fail or disappoint after hours, found before a run from files and parameters alone; no model is loaded."""
