"""What Lambda tells a function about its call."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field

REGION = "eu-central-1"
"""Where the simulated AWS lies, unless the environment names a region."""
ACCOUNT = "123456789012"


@dataclass(slots=True)
class LambdaContext:
    """Everything that AWS's own context has and our functions, or Powertools, may read."""

    function_name: str
    memory_limit_in_mb: int = 512
    timeout: float = 60.0
    """Seconds that the call may take; told, not enforced."""
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    function_version: str = "$LATEST"
    log_group_name: str = ""
    log_stream_name: str = ""
    identity: None = None
    client_context: None = None
    _started: float = field(default_factory=time.monotonic)

    @property
    def invoked_function_arn(self) -> str:
        """The ARN that the function would have."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """How long the call may still take."""
        return max(0, round((self.timeout - (time.monotonic() - self._started)) * 1000))
