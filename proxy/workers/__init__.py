"""`sidestep run --workers N`: several processes that serve the app at one address, and a parent that manages them.

    supervisor   the parent: reads the files, opens the operator's side, starts and ends the crew
    crew         the workers as the parent sees them: asks all of them, replaces one that ends
    hiring       a worker process, started
    member       the same once it can be spoken to: its questions and answers, its end
    management   the operations behind `/admin/`, over all workers
    merge        their documents as one (pure)
    share        a worker's part of the configured limits (pure)
    channel      questions and answers between the parent and a worker, over a socket that nobody else has
    worker       the other end: a sidecar without an operator's side of its own

The workers bind the same port (SO_REUSEPORT); the system deals out new connections. The parent binds it too, without
listening, so that it stays theirs while none of them has it. Nothing is shared in memory: each worker has breakers,
health, windows and pools of its own, and its share of every limit.
"""
