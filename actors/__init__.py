"""The actors: the work of the daemon, message by message. Imports `protocol` only, never another actor."""
