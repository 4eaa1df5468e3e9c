"""Suites that ship with the harness: TOML files and prompt lists."""
