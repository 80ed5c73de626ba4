"""The spool: the log of records that a receiver keeps on disk."""
