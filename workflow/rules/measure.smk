# The rule that measures speed, memory and energy of a method, alone on its device. Its parameters contain everything that
# determines what is measured. There is one unit of the resource `measuring`, which keeps two measurements from running at
# once, on a cluster too, where they might share a node (petscale.workspace.slurm.settings).


rule measure:
    input:
        unpack(measurement_inputs),
    output:
        STUDY.layout.measurement("{measurement}"),
    log:
        STUDY.layout.log("measure", "{measurement}"),
    threads: measurement_cores
    resources:
        **MEASUREMENT_PLACE,
        mem_mb=measurement_memory,
        runtime=measurement_runtime,
        device=1,
        measuring=1,
    params:
        spec=measurement_spec,
        versions=measurement_versions,
    shell:
        "OMP_NUM_THREADS=1 exec python -m petscale measure {wildcards.measurement:q} --spec {params.spec:q}"
        " --tokens {input.tokens:q} --backbone {input.backbone:q} 2> {log:q}"
