"""The words: message types, codec, identities, time and JSON frames. Pure; imports nothing of Tocsin."""
