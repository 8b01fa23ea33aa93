"""The only place that dials: a hardened client session, its failures translated once, repeats through aiohttp-retry."""
