# From results to MLflow. Nothing depends on this: the report reads results/, never MLflow, so a dead tracking server
# costs one failed job at the end, and the next `snakemake` (or `petscale track`) sends what is missing.
#
# One process a study, not one a cell: importing mlflow costs a second, a small cell trains for as long, and one writer
# with receipts sends only what is new. On a cluster, `petscale track --follow` on the submit host sends cells while
# they run; `snakemake results/tracking/cells/<cell>.json` tracks one cell and trains it first where needed.


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


# A study with failed cells has no report yet, but its cells, failed ones too, belong into the UI.
onerror:
    shell("python -m petscale track --study-json {STUDY.study_json:q} || true")
