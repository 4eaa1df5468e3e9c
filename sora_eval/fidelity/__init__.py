"""How far the clips of two runs lie apart: reads the clips that both keep and scores every pair, for `compare` and `gate`."""
