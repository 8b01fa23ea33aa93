"""Whom to ask: the route that takes a request (`match`), who can serve it (`candidates`), the order (`strategies`)."""
