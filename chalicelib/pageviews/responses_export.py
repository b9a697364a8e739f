"""What exports look like to callers (page-view contract, section 2.2)."""

from typing import Any

from chalicelib.core.exports import Job, State, disposition
from chalicelib.core.periods import time_text

from .exports import Reached
from .requests_export import Format
from .responses import Said

PENDING = "still being generated"
DELETED = "exports are kept for 24 hours; this export file has been deleted"
_MEBIBYTE = 1024 * 1024


def export(job: Job) -> dict[str, Any]:
    """An export as `POST /export` and `GET /export/{id}` show it."""
    wanted = job.parameters
    shown: dict[str, Any] = {"id": job.number, "site_id": int(wanted["site"]), "format": wanted["format"]}
    if "start" in wanted:
        shown["start_from_hit_id"] = int(wanted["start"])
    if "day" in wanted:
        shown["start_from_day"] = time_text(int(wanted["day"]) * 86_400)
    done = job.size is not None
    listed = done and wanted["format"] == Format.CSV
    return {
        **shown,
        "last_hit_id": Reached.read(job.reached, int(wanted.get("start", "0"))).last if listed else None,
        "path": job.name,
        "created_at": time_text(job.created_at),
        "finished_at": time_text(job.finished_at) if done and job.finished_at is not None else None,
        "num_rows": job.rows if listed else None,
        "size": None if job.size is None else f"{max(job.size / _MEBIBYTE, 0.1):.1f}",
        "hash": f"sha256-{job.sha256}" if done else None,
        "error": job.error if job.state is State.FAILED else None,
    }


def file(job: Job, data: bytes) -> Said:
    """An export's file, to be saved under its name. It is not encoded: what is compressed is the file itself."""
    return Said(200, data, {"Content-Type": job.media_type, "Content-Disposition": disposition(job.name)})
