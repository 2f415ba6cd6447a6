"""What the index pages show of a run (all steps): its funnel, warnings on its figures, changed questions with their
images, and the row of a run among others. Reads small files only, as the pages are written after every step."""
