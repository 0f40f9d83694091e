# Rules that make the tables and the report of a study from its finished cells.


rule collect:
    input:
        STUDY.results,
        STUDY.probe_results,
        STUDY.transfer_results,
        STUDY.measurement_results,
    output:
        STUDY.layout.plan(STUDY.study.name),
    log:
        STUDY.layout.log("collect", STUDY.study.name),
    localrule: True
    params:
        study=STUDY.study_json,
        code=lambda wildcards: STUDY.code_of("collect"),
    shell:
        "exec python -m petscale collect --study-json {params.study:q} --out {output:q} 2> {log:q}"


rule analyse:
    input:
        rules.collect.output,
    output:
        STUDY.layout.main_table(STUDY.study.name),
    log:
        STUDY.layout.log("analyse", STUDY.study.name),
    localrule: True
    params:
        code=lambda wildcards: STUDY.code_of("analyse"),
    shell:
        "exec python -m petscale analyse {input:q} --out $(dirname {output:q}) 2> {log:q}"


rule report:
    input:
        plan=rules.collect.output,
        tables=rules.analyse.output,
    output:
        STUDY.layout.report(STUDY.study.name),
    log:
        STUDY.layout.log("report", STUDY.study.name),
    localrule: True
    params:
        code=lambda wildcards: STUDY.code_of("report"),
    shell:
        "exec python -m petscale report {input.plan:q} --tables $(dirname {input.tables:q})"
        " --out {output:q} 2> {log:q}"
