"""Real exams made ready for training: found in an archive, checked, registered, kept anonymous in a cache on disk."""
