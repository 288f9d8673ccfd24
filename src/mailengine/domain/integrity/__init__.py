"""What must always hold, as SQL: run by `mailengine doctor` and at the end of every test."""

from mailengine.domain.integrity.invariants import (
    INVARIANTS,
    QUERY,
    Invariant,
    Violation,
    grouped,
    violations,
)

__all__ = ["INVARIANTS", "QUERY", "Invariant", "Violation", "grouped", "violations"]
