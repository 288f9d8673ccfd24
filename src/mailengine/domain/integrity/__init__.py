"""What must always hold, as SQL: run by `mailengine doctor` and at the end of every test."""

from mailengine.domain.integrity.invariants import INVARIANTS, Invariant, Violation, violations

__all__ = ["INVARIANTS", "Invariant", "Violation", "violations"]
