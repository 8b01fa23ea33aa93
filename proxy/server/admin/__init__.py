"""The operator's side: status, statistics and management, behind a token and a listener of their own."""
