"""What a user types, one module a command: `add_arguments(parser)` and `run_command(configuration, arguments)`."""
