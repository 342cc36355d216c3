"""Turn a finished mix into answers; shares no code with what wrote it (docs/audit.md)."""
