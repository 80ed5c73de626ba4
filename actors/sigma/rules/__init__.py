"""Files of rules: read, refused, cached, filtered, and collected as the rules in force."""
