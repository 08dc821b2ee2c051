"""The command line, one file per subcommand. It parses, calls the rooms below, and words results for people."""
