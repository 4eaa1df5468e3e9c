"""Two runs: what differs, by how much, and whether it is noise. Pure."""
