"""Engines: several workers generate and score at once, processes of this machine or actors of a Ray cluster.

A worker takes a case, another one scores its clip while the next are generated, and only the driver writes rows: `flow`. `crew`
has the workers of one kind, and tries again what a lost or hung one did not answer; `local` and `ray` start workers.
"""
