"""Long work: what runs, how far it is, what went wrong."""

from mailengine.core.ids import JobId
from mailengine.core.paging import Page, PageRequest
from mailengine.domain.jobs import jobs
from mailengine.models import Job, JobState
from mailengine.tui.source.desk import Desk, whole


class Jobs:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    @whole
    async def page(self, *, state: JobState | None, text: str, limit: int, cursor: str | None) -> Page[Job]:
        """Newest first."""
        desk, request = self.desk, PageRequest(limit, cursor)
        async with desk.read() as tx:
            return await jobs.list_(tx, desk.scope, page=request, state=state, text=text)

    @whole
    async def get(self, job_id: JobId) -> Job:
        """Raises NotFound."""
        async with self.desk.read() as tx:
            return await jobs.get(tx, self.desk.scope, job_id=job_id)

    @whole
    async def cancel(self, job_id: JobId) -> str:
        """Raises Conflict for one that ended."""
        desk = self.desk
        async with desk.write() as tx:
            await jobs.cancel(tx, desk.scope, job_id=job_id, now=desk.now())
        return f"job {job_id} is cancelled"
