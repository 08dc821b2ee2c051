"""Marked DICOM objects out, into folders and archives."""
