"""What other tools read: JUnit, LaTeX, CSV, trackers, pictures."""
