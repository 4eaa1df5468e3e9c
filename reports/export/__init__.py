"""Files for other tools: JUnit, LaTeX, CSV, trackers, pictures."""
