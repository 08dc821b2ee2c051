"""The model in a process of its own: messages, the shared folder, the process itself, and the client of viewers."""
