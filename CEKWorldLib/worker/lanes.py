"""One request under way and one waiting: a newer one takes the waiting one's place."""

from __future__ import annotations

from CEKWorldLib.worker.jobs import Job


class Lane:
    """Requests of one kind."""

    def __init__(self) -> None:
        self.running: Job | None = None
        self.waiting: Job | None = None

    @property
    def busy(self) -> bool:
        return self.running is not None or self.waiting is not None

    def put(self, job: Job) -> None:
        self.drop_waiting()
        self.waiting = job

    def next(self) -> Job | None:
        """The job whose turn has come, which now runs; None while another runs or nothing waits."""
        if self.running is not None or self.waiting is None:
            return None
        job, self.waiting = self.waiting, None
        if job.future.cancelled():
            return None
        self.running = job
        return job

    def drop_waiting(self) -> None:
        if self.waiting is not None:
            self.waiting.future.cancel()
            self.waiting = None

    def fail_running(self, error: Exception) -> None:
        job, self.running = self.running, None
        if job is not None:
            job.fail(error)

    def fail_waiting(self, error: BaseException) -> None:
        job, self.waiting = self.waiting, None
        if job is not None:
            job.refuse(error)
