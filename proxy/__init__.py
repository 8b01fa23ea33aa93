"""sidestep: a sidecar reverse proxy for AI providers.

Layers, importing downwards only (a test reads the imports):

    5  shells       server  cli  demo  reload  prober  status
    4  engine       statistics
    3  pipeline     telemetry  transport
    2  registry
    1  decisions    routing  resilience  dialects  config
    0  words        errors  messages  record  clock
"""
