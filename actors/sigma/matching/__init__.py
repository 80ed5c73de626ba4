"""One condition, one event: does it hold? Fields, patterns, predicates, and the search that spares most of them. Pure."""
