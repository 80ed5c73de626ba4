"""Sigma: rules and correlations over events. `engine.py` puts the parts together; each folder holds one of them."""
