"""The machine: command line, configuration, supervision and transport."""

VERSION = "0.1.0"  # of all that is packaged, too
