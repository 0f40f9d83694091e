"""Prints what an image contains, while it is built: interpreter, build of torch, and versions of all packages.

Usage: environment.py cpu|cuda|any; the image build fails if torch is not the requested build.
"""

import json
import platform
import sys
from importlib import metadata

import torch

asked = sys.argv[1]
build = "cuda" if torch.version.cuda else "cpu"
if asked not in ("any", build):
    sys.exit(f"petscale.def: torch {torch.__version__} is the {build} build, {asked} was asked for")
packages = {found.metadata["Name"].lower().replace("_", "-"): found.version for found in metadata.distributions()}
print(json.dumps({"torch": build, "python": platform.python_version(), "packages": dict(sorted(packages.items()))}))
