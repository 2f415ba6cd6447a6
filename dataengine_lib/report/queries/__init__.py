"""Report of step 2: tables of what its queries ask about; charts and galleries are those of all steps."""
