"""Inspection of rules: explanation of a match, backtest, unmatchable rules, coverage."""
