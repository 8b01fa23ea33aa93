"""How providers speak. Sans-I/O: bytes and events in, bytes and events out, testable at every cut position."""
