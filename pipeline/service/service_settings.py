"""How often, how long and how much: what the loop goes by."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.service.resumption import ResumeRules


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Times in seconds."""

    commit_every: float = 30.0
    save_every: float = 0.0  # the state, at the first commit after so long
    poll_for: float = 0.5
    flush_for: float = 4.0
    retry_after: float = 5.0  # a commit that failed
    last_retry_within: float = 2.0  # of the stop: the group may just be rebalancing
    reconnect_after: float = 60.0  # of commits that failed
    longest_pause: float = 30.0  # between attempts to connect
    stale_after: float = 30.0  # records in hand for longer may be somebody else's: a group waits 45 s for a member
    in_flight: int = 20_000  # messages under way above which nothing more is read
    dead_letter_limit: float = 1.0  # share of records that are no readings, above which, for long, the service ends
    dry_run: bool = False  # show alerts; send, save and commit nothing
    turn_for: float = 1.0  # from one poll to the next: a commit takes what is left of it, and one slice at least
    score_for: float = 0.5  # of each turn: so many records are asked for as take so long
    restore_for: float = 0.5  # of each turn, while states are on their way back, and no commit is under way
    series_at_once: int = 2_000  # whose slots are taken or put back in one slice: some 50 ms
    resume: ResumeRules = field(default_factory=ResumeRules)
