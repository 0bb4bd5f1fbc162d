"""The rules of the protocol, each of which can be taken away: what is left is a mutant.

The sentences are those of `docs/design/protocol.md`, shortened.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Rule(Enum):
    """A rule, and what it says."""

    # Data
    FRESH_NAMES = "what is written anew gets a name that never was"
    FRESH_NAMES_OF_COPIES = "who copies data from elsewhere writes it under a new name"
    SENT_ONCE = "a name is sent once: after any doubt the content goes out under another name"
    KEEP_UPLOADS = "what was uploaded is never deleted on a conflict"

    # Adding to a ref
    CREATE_FIRST = "a missing ref is created before the head is read"
    REF_BEFORE_HEAD = "the head is read after the ref"
    HEED_HEAD = "nobody builds on what the head lists"
    HEED_KEPT = "nor on what its last closed verdicts list"
    HEED_BAD = "nor on what is known to be damaged"
    HORIZON = "a memory counts only while its head is the head's, or among those that it keeps"
    SIGHTING_BEFORE = "what was sent or seen counts from the head that was read before"
    UNIQUE_WRITES = "each state of a ref has a write id that occurs nowhere else"
    REVALIDATE = "after a conflict all names are checked again"
    WHOLE_CLOSURE = "without exception: all that a manifest needs is checked with it"

    # Answers that get lost
    READ_BACK = "after any other answer than success the ref is read, and one's own write found in it"
    SAME_BYTES = "in doubt the same write is sent again, and no other"

    # Collecting
    CONDEMN = "what is to be deleted is condemned first"
    FENCE = "no verdict without a fence"
    LIST_AFTER_CONDEMNING = "the refs of the fence are listed after the head says condemned"
    STAMP = "every ref gets the stamp of the run"
    STAMP_EMPTY = "also one without versions"
    STAMP_BEFORE_MARK = "what a ref reaches is noted of the state that has the stamp"
    MARK_STAMPED = "what a ref reaches is noted also if the stamp was there already"
    EQUAL_STAMPS = "stamps are compared for equality"
    NONCE = "each run draws a new nonce"
    SPARE_MARKED = "what the fence has noted is spared"
    STOP_AT_DAMAGE = "what cannot be read stops the run before the verdict"
    VERDICT_BY_SWAP = "the verdict is a compare-and-swap"
    FIRST_VERDICT = "a verdict that came first is taken over"
    CONFIRMED = "each deletion is confirmed before the run is closed"

    # Readers
    READ_AGAIN = "a reader that misses a file reads the ref again"
    ONE_CONTENT = "two contents are never mixed"

    # Damage
    BAD_BY_RUN = "a name becomes bad by a run with its own id and fence"
    LOOK_AFTER_MARK = "who heals looks at the refs after that"
    VALIDATE_RESTORED = "every name that comes with a restored ref is validated"
    NEW_HEAD_ID = "a lost head is not brought back as it was: the new one has an id that never was"
    NEW_HEAD_HEEDS_LISTS = "what any list of names at the place says goes into the bad of a new head"


class Rules(NamedTuple):
    """All rules but one, or all."""

    without: Rule | None = None

    def has(self, rule: Rule) -> bool:
        """Whether it is followed."""
        return rule is not self.without


ALL = Rules()
