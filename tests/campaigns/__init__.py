"""Campaigns: many seeded accidents, counted. `pytest` runs a short form; `pytest -m campaign` the long one, with its table."""
