"""What to do about failure, as pure functions and small state machines: no I/O, no clock, no chance of their own.

What an outcome means: `outcome` (the class table), `retry_after`. What a provider's past means for it: `breaker`,
`cooldown`, `ramp`, `window`. What a request may still cost: `backoff`, `budget`, `limiter`.
"""
