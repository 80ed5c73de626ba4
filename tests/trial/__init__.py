"""A trial follower, detector and receiver: each is what a newcomer would write, one file and one line in a registry."""
