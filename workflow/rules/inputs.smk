# Rows, tokens and backbones. Each rule writes a manifest last; its content, not its time, is what reruns cells.


rule prepare:
    input:
        data_files,
    output:
        "results/data/{data}/data.json",
    log:
        "results/logs/prepare/{data}.log",
    resources:
        **OTHER_PLACE,
        mem_mb=input_memory,
    params:
        spec=data_spec,
    shell:
        "exec python -m petscale prepare --spec {params.spec:q} --out {output:q} 2> {log:q}"


rule tokenize:
    input:
        data="results/data/{data}/data.json",
        backbone=tokenizer_backbone,
    output:
        "results/tokens/{tokenizer}/{data}-{labels}/tokens.json",
    log:
        "results/logs/tokenize/{tokenizer}/{data}-{labels}.log",
    resources:
        **OTHER_PLACE,
        mem_mb=input_memory,
    params:
        version=STUDY.tokenize_version,
    shell:
        "exec python -m petscale tokenize --data {input.data:q} --backbone {input.backbone:q}"
        " --labels {wildcards.labels} --out {output:q} 2> {log:q}"


rule backbone:
    output:
        "results/backbones/{backbone}/backbone.json",
    log:
        "results/logs/backbone/{backbone}.log",
    resources:
        **OTHER_PLACE,
        mem_mb=input_memory,
    params:
        spec=backbone_spec,
    shell:
        "exec python -m petscale backbone --spec {params.spec:q} --out {output:q} 2> {log:q}"
