# Rules that train cells and score their zero-shot transfer. Their parameters contain everything that determines
# numbers.


rule train:
    input:
        unpack(cell_inputs),
    output:
        STUDY.layout.result("{cell}"),
    log:
        STUDY.layout.log("train", "{cell}"),
    group:
        cell_group
    threads: 1
    resources:
        **CELL_PLACE,
        mem_mb=cell_memory,
        runtime=cell_runtime,
        device=1,
    params:
        spec=cell_spec,
        versions=cell_versions,
        placement=cell_placement,
    shell:
        "OMP_NUM_THREADS={threads} exec python -m petscale train {wildcards.cell:q} --warm {params.placement}"
        " --spec {params.spec:q} --tokens {input.tokens:q} --backbone {input.backbone:q} 2> {log:q}"


# One seed of one round of a threshold search. The budget follows from the records of the round before, so the cell is
# not known when the graph is made, and its result is no output of this rule. docs/threshold-search.md says how cells are made
# again and why the graph is not made anew after each of them.
rule probe:
    input:
        unpack(probe_inputs),
    output:
        STUDY.layout.probe("{search}", "{round}", "{seed}"),
    log:
        STUDY.layout.log("probe", "{search}/round{round}-seed{seed}"),
    group:
        probe_group
    threads: 1
    resources:
        **CELL_PLACE,
        mem_mb=cell_memory,
        runtime=probe_runtime,
        device=1,
    params:
        search=probe_spec,
        versions=probe_versions,
        placement=cell_placement,
    shell:
        "OMP_NUM_THREADS={threads} exec python -m petscale probe --warm {params.placement} --search {params.search:q}"
        " --round {wildcards.round} --seed {wildcards.seed} --tokens {input.tokens:q} --backbone {input.backbone:q}"
        " 2> {log:q}"


rule transfer:
    input:
        unpack(transfer_inputs),
    output:
        STUDY.layout.transfer("{cell}", "{target}"),
    log:
        STUDY.layout.log("transfer", "{cell}/{target}"),
    group:
        transfer_group
    threads: 1
    resources:
        **CELL_PLACE,
        mem_mb=cell_memory,
        runtime=transfer_runtime,
        device=1,
    params:
        versions=transfer_versions,
    shell:
        "OMP_NUM_THREADS={threads} exec python -m petscale transfer --warm --source {input.source:q}"
        " --tokens {input.tokens:q} --own {input.own:q} --backbone {input.backbone:q}"
        " --out {output:q} 2> {log:q}"
