# Rules that send results to MLflow. No other rule depends on them: the report reads results/, never MLflow. If the
# tracking server is dead, one job at the end fails, and the next `snakemake` (or `petscale track`) sends what is
# missing.
#
# There is one process per study and not per cell, because importing mlflow takes a second, and a small cell trains for
# as long. This process sends only what its receipts do not list yet. On a cluster, `petscale track --follow` on the
# submit host sends cells while they run. `snakemake results/tracking/cells/<cell>.json` tracks one cell, and trains it
# first if necessary.


rule track:
    input:
        STUDY.results,
        report=rules.report.output,
    output:
        STUDY.layout.study_tracked(STUDY.study.name),
    log:
        STUDY.layout.log("track", STUDY.study.name),
    localrule: True
    resources:
        mlflow=1,
    params:
        study=STUDY.study_json,
    shell:
        "exec python -m petscale track --study-json {params.study:q} --out {output:q} 2> {log:q}"


rule track_cell:
    input:
        cell_result,
    output:
        STUDY.layout.tracked("{cell}"),
    log:
        STUDY.layout.log("track", "{cell}"),
    localrule: True
    resources:
        mlflow=1,
    params:
        study=STUDY.study_json,
    shell:
        "exec python -m petscale track --study-json {params.study:q} --cells {wildcards.cell:q} 2> {log:q}"


# The causes are printed, since otherwise they stand in logs alone. A study with failed cells has no report yet, but all
# its cells are sent to the UI, including failed ones.
onerror:
    for line in failure_lines(
        STUDY.grid, snakemake_options(STUDY_FILE, config_words(GIVEN))
    ):
        print(f"petscale: {line}", file=sys.stderr)
    shell("python -m petscale track --study-json {STUDY.study_json:q} || true")
