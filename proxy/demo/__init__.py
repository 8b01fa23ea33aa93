"""`sidestep demo`: failing over and back, seen with your own eyes, with no key and no network.

app ──► scene.sidecar (the real one, on real sockets) ──► scene.primary, scene.secondary (simulated)

provider   one simulated provider            scene    the providers and the sidecar, set up and taken down
app        the load, and what it got back    story    the scripted outage
figures    what was measured (pure)          screen   the live table, or plain lines
serve      the same scene to play with by hand
"""
