"""NaViT: clips of any size and length as tokens with positions, in packs. Pure numpy."""
