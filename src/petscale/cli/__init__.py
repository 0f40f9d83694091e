"""The command line: each command has a module, which imports only what the command needs."""
