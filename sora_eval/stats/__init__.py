"""The numbers: intervals, distances, attribution, extrapolation, power. Pure numpy and scipy."""
