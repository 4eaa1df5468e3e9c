"""Frozen networks and measurements of one clip, behind one protocol and one cache."""
