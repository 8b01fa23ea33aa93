"""The dashboard: a static page that asks `/admin/` for whatever it shows, and the few lines that serve it."""
