# From finished cells to the report.


rule collect:
    localrule: True
    input:
        DAG.results,
        DAG.transfer_results,
    output:
        DAG.layout.study(DAG.study.name, "plan.json"),
    params:
        study=DAG.study_json,
    log:
        DAG.layout.log("collect", DAG.study.name),
    shell:
        "exec python -m petscale collect --study-json {params.study:q} --out {output:q} 2> {log:q}"


rule analyse:
    localrule: True
    input:
        rules.collect.output,
    output:
        DAG.layout.study(DAG.study.name, "tables", "cells.csv"),
    log:
        DAG.layout.log("analyse", DAG.study.name),
    shell:
        "exec python -m petscale analyse {input:q} --results results --out $(dirname {output:q}) 2> {log:q}"


rule report:
    localrule: True
    input:
        plan=rules.collect.output,
        tables=rules.analyse.output,
    output:
        DAG.layout.study(DAG.study.name, "report.html"),
    log:
        DAG.layout.log("report", DAG.study.name),
    shell:
        "exec python -m petscale report {input.plan:q} --results results --tables $(dirname {input.tables:q})"
        " --out {output:q} 2> {log:q}"
