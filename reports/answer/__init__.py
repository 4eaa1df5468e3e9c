"""The answer first: what runs, comparisons, ladders and gates say, in one statement of plain words made of their numbers."""
