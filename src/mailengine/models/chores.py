"""When the scheduler last did what it does from time to time."""

from datetime import datetime
from typing import Any, ClassVar

from sqlmodel import Field, SQLModel

from mailengine.models.base import json_object, moment
from mailengine.models.personal import Holdings, nothing


class ChoreRun(SQLModel, table=True):
    """The last complete run of a chore; kept here so that a restart does not do a day's work again."""

    __tablename__ = "chore_runs"
    __personal__: ClassVar[Holdings] = nothing("name", "figures")

    name: str = Field(max_length=63, primary_key=True)
    done_at: datetime = moment()
    figures: dict[str, Any] = json_object()  # counts only
