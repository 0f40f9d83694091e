"""Makes `python -m petscale` work, which the workflow's rules use."""

from petscale.cli.main import main

raise SystemExit(main())
