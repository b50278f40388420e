"""What the event loop puts in front of a model's thread: jobs that wait, and the wish to end."""

from __future__ import annotations

import threading

from cerebrum_inference.batching.job import Job
from cerebrum_inference.engine import Generation
from cerebrum_inference.scheduling.queueing import FairQueue


class Inbox:
    """A queue with a lock around it. May be used from any thread."""

    def __init__(self) -> None:
        self._queue: FairQueue[Job] = FairQueue()
        self._wake = threading.Condition()
        self.closing = False

    def __len__(self) -> int:
        return len(self._queue)

    def offer(self, job: Job, capacity: int) -> Job | None:
        """Queues a job; returns the one for which there is no place, see `FairQueue.offer`."""
        with self._wake:
            if self.closing:
                return job
            refused = self._queue.offer(job, capacity)
            self._wake.notify()
            return refused

    def cancel(self, job: Job) -> bool:
        """Marks a job as cancelled; True where it still waited, and is out of the queue now."""
        job.cancelled = True
        with self._wake:
            self._wake.notify()
            return self._queue.remove(job)

    def close(self) -> None:
        with self._wake:
            self.closing = True
            self._wake.notify()

    def wait(self) -> None:
        """Until there is something to do."""
        with self._wake:
            while not (self.closing or len(self._queue)):
                self._wake.wait()

    def take(self) -> Job | None:
        """The next job."""
        with self._wake:
            return self._queue.take()

    def expired(self, now: float) -> list[Job]:
        """Takes out the jobs that waited for too long."""
        with self._wake:
            return self._queue.expired(now)

    def waiting(self) -> list[Generation]:
        """What the jobs in the queue ask for."""
        with self._wake:
            return [job.generation for job in self._queue]
