"""The generators under test behind one small protocol, one file per adapter."""
