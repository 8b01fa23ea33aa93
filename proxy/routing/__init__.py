"""Whom to ask: which route takes a request (`match`), who can serve it (`candidates`), in which order (`strategies`)."""
