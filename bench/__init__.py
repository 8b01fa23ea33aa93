"""The measuring instrument: sidestep beside a yardstick, in one run, on one machine.

    __main__     the command line: which plays, how many rounds
    plays        the questions, each with who takes part and what the others are compared with
    performance  one play: everybody starts, has a turn in every round, and ends
    measures     how each question is measured
    selfcheck    the instrument's own check, before anything is measured
    contestants  the yardstick and sidestep in its variants; `others`: proxies and gateways that are installed here
    ground       what they all stand on: cores, ports, the upstream, the collector and the load (`c/`)
    processes    programs in sessions of their own, what they use, and their end
    figures      medians, spreads, ratios; `report` makes the table and the JSON of them, `bars` draws them
    soak         millions of mixed requests to one sidestep; `verdict` judges the series, `plot` draws it
    machine      the machine, in the words of the reports

The proxy is pinned to one core, the load and the upstream to another. Rounds are interleaved: within a round everybody
has a turn, so the ratios hold when the machine's own speed drifts.
"""
