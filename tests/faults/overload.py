"""More uploads than a site can process: python -m tests.faults.overload [--uploaders 32] [--seconds 40] ...

Starts a site in a temporary folder and uploads photos of 12 megapixels, first one by one and then many at
once. ``--json FILE`` also writes the figures and the load before the run to a file.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import requests
from PIL import Image

from tests.faults.report import publish, start_of_run
from tests.support.serving import Serving, form_token, plain_session, registered, serving

_WAIT_S = 60.0


@dataclass(frozen=True)
class Figures:
    """Results of the uploaders and of a reader of pages. Times are in seconds."""

    unloaded_p50_s: float
    unloaded_p99_s: float
    accepted: int
    refused: int
    """Number of responses 503 with ``Retry-After``."""
    other: dict[str, int]
    """Number of other responses by status. Status 0 means no response."""
    accepted_p50_s: float
    accepted_p99_s: float
    refused_p99_s: float
    page_p95_s: float
    pages_failed: int
    lost: int
    """Accepted photos that the site does not have at the end."""


def photo(megapixels: int = 12) -> bytes:
    """Return a JPEG with about 0.3 bytes per pixel, like a camera makes."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    noise = np.random.default_rng(5).integers(0, 256, (height // 8, height // 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((height * 4 // 3, height), Image.Resampling.BICUBIC).save(
        file, "JPEG", quality=88
    )
    return file.getvalue()


class Uploader:
    """One account that uploads ``data`` or other files."""

    def __init__(self, site: Serving, data: bytes, session: requests.Session) -> None:
        self._url, self._data, self._session = site.url + "/upload", data, session
        self._token = form_token(session, self._url)

    def upload(self, data: bytes | None = None) -> tuple[int, float, int, float]:
        """Upload once; return status, duration (s), the photo's id, and the time until a retry (s)."""
        begun_s = time.monotonic()
        try:
            answer = self._session.post(
                self._url,
                data={"csrf_token": self._token},
                files={"photos": ("a.jpg", self._data if data is None else data)},
                timeout=_WAIT_S,
            )
        except requests.RequestException:
            return 0, time.monotonic() - begun_s, 0, 1.0
        took_s = time.monotonic() - begun_s
        id = answer.json()["files"][0]["id"] if answer.status_code == 201 else 0
        return answer.status_code, took_s, id, float(answer.headers.get("Retry-After", 0))

    def has(self, id: int) -> bool:
        url = self._url.replace("/upload", f"/photos/{id}/photo.jpg")
        return self._session.get(url, timeout=_WAIT_S).status_code == 200


def measure(
    site: Serving,
    *,
    uploaders: int,
    seconds: float,
    unloaded: int = 20,
    megapixels: int = 12,
    impatient_s: float = 0.0,
) -> Figures:
    """Upload ``unloaded`` photos one by one, then from ``uploaders`` accounts at once.

    Args:
        impatient_s: time after which to retry a 503; 0 means the time of its ``Retry-After``.
    """
    data, session = photo(megapixels), registered(site.url)
    crowd = [Uploader(site, data, registered(site.url)) for _ in range(uploaders)]
    alone = Uploader(site, data, session)
    unloaded_s = [alone.upload()[1] for _ in range(unloaded)]
    answers: list[tuple[int, float, int, Uploader]] = []
    pages: list[tuple[int, float]] = []
    end_s = time.monotonic() + seconds

    def upload(uploader: Uploader) -> None:
        while time.monotonic() < end_s:
            status, took_s, id, retry_s = uploader.upload()
            answers.append((status if status != 503 or retry_s else -503, took_s, id, uploader))
            pause_s = retry_s if not impatient_s or status == 201 else impatient_s
            time.sleep(max(0.0, min(pause_s, end_s - time.monotonic())))

    def read() -> None:
        reader = plain_session()
        reader.cookies.update(session.cookies)
        while time.monotonic() < end_s:
            begun_s, status = time.monotonic(), 0
            with suppress(requests.RequestException):
                status = reader.get(site.url + "/photos", timeout=_WAIT_S).status_code
            pages.append((status, time.monotonic() - begun_s))
            time.sleep(0.1)

    threads = [threading.Thread(target=upload, args=(one,)) for one in crowd] + [
        threading.Thread(target=read)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted = [took_s for status, took_s, *_ in answers if status == 201]
    refused = [took_s for status, took_s, *_ in answers if status == 503]
    odd = [status for status, *_ in answers if status not in (201, 503)]
    return Figures(
        unloaded_p50_s=share(unloaded_s, 0.5),
        unloaded_p99_s=share(unloaded_s, 0.99),
        accepted=len(accepted),
        refused=len(refused),
        other={str(status): odd.count(status) for status in set(odd)},
        accepted_p50_s=share(accepted, 0.5),
        accepted_p99_s=share(accepted, 0.99),
        refused_p99_s=share(refused, 0.99),
        page_p95_s=share([took_s for _, took_s in pages], 0.95),
        pages_failed=sum(status != 200 for status, _ in pages),
        lost=sum(not one.has(id) for status, _, id, one in answers if status == 201),
    )


def share(times_s: list[float], share: float) -> float:
    """Return the quantile of the times, in seconds; ``share`` is 0.5 for the median."""
    ordered = sorted(times_s) or [0.0]
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("uploaders", 32), ("seconds", 40), ("megapixels", 12)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--impatient-s", type=float, default=0.0, help="retry a 503 after this time")
    parser.add_argument("--dispatch", default="off", help="CATCHECK_DISPATCH of the site")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    options = vars(parser.parse_args())
    dispatch, file = options.pop("dispatch"), options.pop("json")
    run = start_of_run() | options
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), CATCHECK_DISPATCH=dispatch) as site:
        run |= asdict(measure(site, **options))
    publish(run, file)


if __name__ == "__main__":
    main()
