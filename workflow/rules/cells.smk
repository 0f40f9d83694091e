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
