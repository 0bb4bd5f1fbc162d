"""What an adoption did, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from casreg.head import State
    from casreg.verify import Report


@dataclass(frozen=True, slots=True)
class Adoption:
    """What an adoption found and did.

    Attributes:
        location: Where.
        dry_run: Whether nothing was done.
        before: The id that the repository had; None if its marker was damaged or lost.
        id: The id that it has now; None if nothing was done.
        head: What a collector was doing, as the copy said: `"idle"`, `"condemned"` or `"verdict"`; None if its head was
            damaged or lost, or nobody ever collected.
        run: The number of the run by which all refs were marked; 0 if nothing was done.
        refs: So many refs were written anew; of a dry run, would be.
        left: Names whose refs could not be: they cannot be read, or need a newer casreg. The report has them too.
        indexed: So many packs were noted in the index that were not, or not rightly.
        report: What a verification found, after all that.
    """

    location: str
    dry_run: bool
    before: str | None
    id: str | None
    head: State | None
    run: int
    refs: int
    left: tuple[str, ...]
    indexed: int
    report: Report

    @property
    def clean(self) -> bool:
        """Whether everything that was looked at is there and right."""
        return self.report.clean

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON values, `clean` included."""
        return {"clean": self.clean, **asdict(self), "report": self.report.as_dict()}
