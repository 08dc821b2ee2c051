"""The synthesis engine: one pre-contrast exam becomes a contrast series that can be read at any time."""
