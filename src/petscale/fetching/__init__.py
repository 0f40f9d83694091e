"""Downloads for machines without network: data sets and backbones of a study."""
