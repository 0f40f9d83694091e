"""How a change is made from what is trained: one file a parametrisation, all of them in `registry`."""
