"""`python -m petscale`, the spelling that workflow rules use."""

from petscale.cli.main import main

raise SystemExit(main())
