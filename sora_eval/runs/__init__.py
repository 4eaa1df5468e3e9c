"""What a run leaves: its folder, and the rows in it."""
