"""Where the pure study meets files: study files, backbone folders, the DAG's look-ups, the state of cells."""
