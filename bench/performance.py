"""The performance of a play: who takes part starts, everybody has a turn in every round, and the figures are noted."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench import measures
from bench.contestants import Contestant, Started, started
from bench.ground import CouldNotMeasure, Ground
from bench.measures import Figures
from bench.plays import Play

Say = Callable[[str], None]


@dataclass(slots=True)
class Result:
    """What a play has brought."""

    play: Play
    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """Contestant -> figure -> one value for each round."""
    troubles: list[str] = field(default_factory=list)
    """What could not be measured, and wrong answers of ours."""

    def note(self, contestant: Contestant, figures: Figures) -> None:
        """Take the figures of one round."""
        kept = self.figures.setdefault(contestant.name, {})
        for name, value in figures.items():
            kept.setdefault(name, []).append(value)
        if contestant.ours and figures.get(measures.WRONG):
            self.troubles.append(
                f"{self.play.name}: {contestant.name} gave {figures[measures.WRONG]:.0f} wrong answers"
            )

    def blame(self, contestant: Contestant, error: Exception) -> None:
        """Say why somebody has no figures from now on."""
        self.troubles.append(f"{self.play.name}: {contestant.name}: {error}")


def perform(play: Play, ground: Ground, rounds: int, only: set[str], say: Say) -> Result:
    """Play all rounds. Whoever cannot be measured is left out from then on. `only` names contestants, empty: all."""
    result = Result(play)
    with ExitStack() as stack:
        playing = cast(play, play.lineup(ground), only)
        standing = {} if play.fresh else warmed_up(ground, playing, result, stack)
        time.sleep(play.rest)
        playing = [each for each in playing if play.fresh or each.name in standing]
        for number in range(rounds):
            found: dict[str, Figures] = {}
            for contestant in turned(playing, number):
                try:
                    found[contestant.name] = one_turn(play, ground, contestant, standing.get(contestant.name))
                except (CouldNotMeasure, OSError) as error:
                    result.blame(contestant, error)
            playing = [each for each in playing if each.name in found]
            play.compare(found)
            for contestant in playing:
                result.note(contestant, found[contestant.name])
            say(f"{play.name}: round {number + 1} of {rounds}")
    return result


def cast(play: Play, lineup: list[Contestant], only: set[str]) -> list[Contestant]:
    """Whoever is wanted, and whom they are compared with. A play that knows none of these names plays as it is."""
    if not only & {each.name for each in lineup}:
        return lineup
    return [each for each in lineup if each.name in only or each.name == play.baseline or not each.command]


def turned(playing: list[Contestant], number: int) -> list[Contestant]:
    """Everybody, beginning with another one in each round: nobody always plays after the same one."""
    turn = number % len(playing) if playing else 0
    return playing[turn:] + playing[:turn]


def one_turn(play: Play, ground: Ground, contestant: Contestant, standing: Started | None) -> Figures:
    """One round of one contestant, in a new process unless it stands already."""
    if standing:
        return play.measure(ground, standing)
    with started(ground, contestant) as ready:
        return play.measure(ground, ready)


def warmed_up(ground: Ground, playing: list[Contestant], result: Result, stack: ExitStack) -> dict[str, Started]:
    """Start them all until the stack is left."""
    standing: dict[str, Started] = {}
    for contestant in playing:
        try:
            ready = stack.enter_context(started(ground, contestant))
            measures.warm_up(ground, ready)
        except (CouldNotMeasure, OSError) as error:
            result.blame(contestant, error)
        else:
            standing[contestant.name] = ready
    return standing
