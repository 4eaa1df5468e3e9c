"""Statistics: intervals, distances, attribution, extrapolation, power. Pure numpy and scipy."""
