"""YAML in, one frozen `Snapshot` out."""
