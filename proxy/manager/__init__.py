"""The library: failover for a Python program, in its own process or through a running sidecar."""
