"""The three models of the loop: student, teacher, encoder."""
