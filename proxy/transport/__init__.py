"""The only place that dials: connections, one exchange, its failures translated once, repeats through aiohttp-retry."""
