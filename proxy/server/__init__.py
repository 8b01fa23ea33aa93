"""The shells around the engine that speak HTTP to the app and to the operator."""
