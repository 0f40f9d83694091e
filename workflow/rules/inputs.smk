# Rules that make rows, tokens and backbones. Each writes a manifest last, whose content, not its time, reruns cells.
#
# Local rows and backbones are no declared inputs, since Snakemake would go by their times. Their content is part of the
# parameter `identity`, which reruns a rule; `spec` also says where they lie, and reruns nothing.


rule prepare:
    output:
        STUDY.layout.data("{data}"),
    log:
        STUDY.layout.log("prepare", "{data}"),
    resources:
        **OTHER_PLACE,
        mem_mb=input_memory,
    params:
        spec=data_spec,
        identity=data_identity,
    shell:
        "exec python -m petscale prepare --spec {params.spec:q} --out {output:q} 2> {log:q}"


rule tokenize:
    input:
        data=STUDY.layout.data("{data}"),
        backbone=tokenizer_backbone,
    output:
        STUDY.layout.tokens("{tokenizer}", "{data}-{labels}"),
    log:
        STUDY.layout.log("tokenize", "{tokenizer}/{data}-{labels}"),
    resources:
        **OTHER_PLACE,
        mem_mb=input_memory,
    params:
        version=tokenize_version,
    shell:
        "exec python -m petscale tokenize --data {input.data:q} --backbone {input.backbone:q}"
        " --labels {wildcards.labels} --out {output:q} 2> {log:q}"


rule backbone:
    output:
        STUDY.layout.backbone("{backbone}"),
    log:
        STUDY.layout.log("backbone", "{backbone}"),
    resources:
        **OTHER_PLACE,
        mem_mb=input_memory,
    params:
        spec=backbone_spec,
        identity=backbone_identity,
    shell:
        "exec python -m petscale backbone --spec {params.spec:q} --out {output:q} 2> {log:q}"
