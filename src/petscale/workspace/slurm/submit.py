"""A replacement for `sbatch` that retries when Slurm cannot accept a job at the moment.

It is called with the same arguments and input. Temporary refusals (a controller that does not answer, a limit on
submitted jobs) are retried; all others are returned at once.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

PASSING = re.compile(
    r"MaxSubmit|submit limit|Job violates accounting/QOS policy|temporarily unable|Resource temporarily unavailable"
    r"|timed out|Unable to contact|Connection refused|Connection reset|Zero Bytes|Communication connection failure",
    re.IGNORECASE,
)
PAUSE_S = 30.0
PATIENCE_S = 3600.0


def submit(
    words: Sequence[str],
    script: str | None,
    program: str = "sbatch",
    *,
    pause_s: float = PAUSE_S,
    patience_s: float = PATIENCE_S,
    sleep: Callable[[float], None] = time.sleep,
) -> subprocess.CompletedProcess[str]:
    """The last answer of `program`: accepted, refused permanently, or still refused after `patience_s` seconds."""
    waited = 0.0
    while True:
        done = subprocess.run([program, *words], input=script, capture_output=True, text=True)
        if done.returncode == 0 or not PASSING.search(done.stderr) or waited >= patience_s:
            return done
        sleep(pause_s)
        waited += pause_s


if __name__ == "__main__":
    answer = submit(sys.argv[1:], sys.stdin.read() if "/dev/stdin" in sys.argv else None)
    sys.stdout.write(answer.stdout)
    sys.stderr.write(answer.stderr)
    sys.exit(answer.returncode)
