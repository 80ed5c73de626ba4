"""Following the commit: one cursor, one replay out of the store, and the actor that every follower runs in."""
