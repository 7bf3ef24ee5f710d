"""The job file: what it may say (``tables``), how it is read (``loading``), what it asks."""

from vbatch.job.loading import load_job
from vbatch.job.question import differences
from vbatch.job.resolved import Job
from vbatch.job.tables import Columns, Endpoint, Images, Limits, Price, Request, Retry

__all__ = [
    "Columns",
    "Endpoint",
    "Images",
    "Job",
    "Limits",
    "Price",
    "Request",
    "Retry",
    "differences",
    "load_job",
]
