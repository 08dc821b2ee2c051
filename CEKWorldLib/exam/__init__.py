"""The exam: a pre-contrast volume, how it was acquired, and the checks it must pass."""
