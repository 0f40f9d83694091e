"""The description of an image: its digest for the record of each cell, and its package versions for reruns.

`containers/build.sh` calls this module after it has built the image. The description is a small file beside the image,
because Snakemake parses the Snakefile in every job and hashing an image takes seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from petscale.artefacts.cache import cache_folder
from petscale.artefacts.files import write_atomically
from petscale.artefacts.layout import RESULTS
from petscale.errors import BadInput


@dataclass(frozen=True)
class Image:
    """The description of an image.

    Attributes:
        sha256: digest of the image file.
        torch: `cpu` or `cuda`, the build of torch.
        python: version of the interpreter.
        packages: name -> version of all installed packages.
    """

    sha256: str
    torch: str
    python: str
    packages: dict[str, str]

    @property
    def digest(self) -> str:
        """The digest by which records of cells name the image."""
        return f"sha256:{self.sha256}"


def description_of(image: Path) -> Path:
    """Path of the description of an image, which is beside the image."""
    return image.with_name(image.name + ".json")


def read_image(image: Path) -> Image:
    """Read the description of an image that `make image` built.

    Raises:
        BadInput: image or description are missing or unreadable, or the image was replaced after it was described.
    """
    path = description_of(image)
    try:
        found = Image(**json.loads(path.read_text()))
        older = path.stat().st_mtime_ns < image.stat().st_mtime_ns
    except OSError as error:
        raise BadInput(f"{error.filename}: {error.strerror}; `make image` builds the image") from None
    except (ValueError, TypeError) as error:
        raise BadInput(f"{path}: not the description of an image ({error}); `make image` writes it") from None
    if older:
        raise BadInput(f"{image}: newer than {path.name}: copy the two together, or run `make image`")
    return found


def describe(image: Path, environment: Path) -> Image:
    """Write the description of `image` from the JSON file `environment`, which the image build wrote.

    Raises:
        BadInput: a file cannot be read, or `environment` does not have the form that the build writes.
    """
    try:
        with open(image, "rb") as handle:
            sha256 = hashlib.file_digest(handle, "sha256").hexdigest()
        found = Image(sha256=sha256, **json.loads(environment.read_text()))
    except OSError as error:
        raise BadInput(f"{error.filename}: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        raise BadInput(f"{environment}: not what containers/petscale.def writes ({error})") from None
    write_atomically(description_of(image), json.dumps(asdict(found), indent=1, sort_keys=True) + "\n")
    return found


def enter(image: Image, package: Path, working: Path, folders: Iterable[Path]) -> None:
    """Set the environment variables that Apptainer passes to jobs: paths to bind, the path of the code, the image.

    Jobs use the code of the checkout that planned the cells, bound read-only, so an edit needs no new image. They can
    write only to the working directory and to the targets of links in `results/`.

    Args:
        image: the image in which the jobs run.
        package: the folder that contains the package `petscale`.
        working: the working directory, which contains `results/`.
        folders: further folders that jobs read.
    """
    read = [package, package.parent / "ladders", cache_folder(), *folders]
    # `results`, or a folder in it, may be a link to a larger disk.
    links = [path for path in (working / RESULTS, *(working / RESULTS).glob("*")) if path.is_symlink()]
    written = [f"{path}:{path}" for path in (working, *(link.resolve() for link in links))]
    bound = [f"{path}:{path}:ro" for each in read for path in dict.fromkeys((each, each.resolve())) if path.exists()]
    told = [os.environ["APPTAINER_BIND"]] if os.environ.get("APPTAINER_BIND") else []
    os.environ["APPTAINER_BIND"] = ",".join(dict.fromkeys([*told, *written, *bound]))
    os.environ["APPTAINERENV_PYTHONPATH"] = str(package)
    os.environ["APPTAINERENV_PETSCALE_CACHE"] = str(cache_folder())
    os.environ["APPTAINERENV_PETSCALE_IMAGE"] = image.digest


if __name__ == "__main__":
    try:
        told = describe(Path(sys.argv[1]), Path(sys.argv[2]))
    except BadInput as problem:
        sys.exit(f"petscale: {problem}")
    print(f"{sys.argv[1]}: sha256 {told.sha256[:12]}, Python {told.python}, torch {told.packages['torch']}")
