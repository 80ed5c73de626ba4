"""The machine: command line, configuration, supervision and transport."""
