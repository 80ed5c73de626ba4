"""The meaning: what each actor does with a message. Imports `protocol` only, never another actor."""
