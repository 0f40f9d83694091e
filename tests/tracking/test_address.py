"""No password and no token of a store's address is shown or kept, however the address is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from petscale.tracking.address import hushed, masked
from petscale.tracking.store import Store, StoreUnavailable

# address -> what may be shown of it; `S3` stands in every secret and nowhere else.
CASES = {
    "sqlite:///results/tracking/mlflow.db": "sqlite:///results/tracking/mlflow.db",
    "sqlite:////tmp/me@work/mlflow.db": "sqlite:////tmp/me@work/mlflow.db",
    "http://127.0.0.1:5000": "http://127.0.0.1:5000",
    "postgresql://petscale@db/mlflow": "postgresql://petscale@db/mlflow",
    "postgresql://petscale:S3cret@db:5432/mlflow": "postgresql://petscale:***@db:5432/mlflow",
    "postgresql://u:pS3/wS3@db/mlflow": "postgresql://u:***@db/mlflow",
    "postgresql://u:p@S3@db/mlflow": "postgresql://u:***@db/mlflow",
    "postgresql://u:p:S3:@db/mlflow": "postgresql://u:***@db/mlflow",
    "postgresql://u:p%2FS3@db/mlflow": "postgresql://u:***@db/mlflow",
    "postgresql://u:S3?S3@db/mlflow": "postgresql://***",
    "postgresql://u:S3#S3@db/mlflow?sslmode=require": "postgresql://***",
    "postgresql://:S3@db/mlflow": "postgresql://:***@db/mlflow",
    "postgresql://S3/S3@db/mlflow": "postgresql://***@db/mlflow",
    "postgresql://db/m?user=u&password=S3&sslmode=require": "postgresql://db/m?user=u&password=***&sslmode=require",
    "postgresql:///m?host=/run/pg&PassWord=S3": "postgresql:///m?host=/run/pg&PassWord=***",
    "postgresql://db/m?password=S3&S3": "postgresql://db/m?password=***&***",
    "postgresql://db/m?user=u@corp&password=S3@S3": "postgresql://***",
    "postgresql://u:S3@db/m?sslpassword=S3": "postgresql://u:***@db/m?sslpassword=***",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx;PWD=S3": "mssql+pyodbc:///?odbc_connect=***;PWD=***",
    "https://S3TOKEN@mlflow.example.org": "https://***@mlflow.example.org",
    "https://S3TOKEN:@mlflow.example.org/x": "https://***@mlflow.example.org/x",
    "https://S3TOKEN:x-oauth-basic@host": "https://***@host",
    "https://u:S3/S3@host:5000/path": "https://***@host:5000/path",
    "https://host/path?access_token=S3#S3": "https://host/path?access_token=***#***",
    "https:/S3@host": "***@host",
}


@pytest.mark.parametrize("uri", CASES)
def test_addresses(uri: str) -> None:
    assert masked(uri) == CASES[uri]
    assert masked(masked(uri)) == masked(uri)
    assert "S3" not in hushed(f"cannot parse '{uri}': see https://S3x@other/", uri)


def test_texts_of_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser that stumbles over an address tells pieces of it; a server may echo what it was sent."""
    uri = "https://me:one/two%40three@host"
    assert hushed("Failed to parse: 'me:one', label two@three", uri) == "Failed to parse: 'me:***', label ***"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "bearer-0123")
    assert hushed("403: no rights for bearer-0123 on http://host", uri) == "403: no rights for *** on http://host"


@pytest.mark.parametrize("uri", ["http://me:hunter2/more@127.0.0.1:9", "postgresql://me:hunter2/more@127.0.0.1:9/x"])
def test_errors_of_a_store(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StoreUnavailable) as caught:
        Store(uri, tmp_path)
    assert "hunter2" not in str(caught.value)
    assert "more@" not in str(caught.value)
