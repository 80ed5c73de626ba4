"""Correlations: how many matches of which rules within which time, by group. Pure."""
