"""Looking at rules: why one matches, what it would have done, what it can never match, what is covered."""
