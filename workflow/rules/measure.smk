# The rule that measures speed, memory and energy of a method, alone on its device. Its parameters contain everything that
# determines what is measured.


def measurement_inputs(wildcards):
    return STUDY.measurement_inputs(wildcards.measurement)


def measurement_spec(wildcards):
    return STUDY.measurement_spec(wildcards.measurement)


def measurement_versions(wildcards):
    return STUDY.measurement_versions(wildcards.measurement)


def measurement_memory(wildcards, attempt):
    return requests.memory_mb(
        STUDY.measurement_memory_mb(wildcards.measurement), attempt, SITE.max_memory_mb
    )


def measurement_runtime(wildcards, attempt):
    minutes = STUDY.measurement_minutes(wildcards.measurement) * attempt
    return allowed(minutes, "measurements", False, 1)


# On this machine a measurement takes all cores of the run, so that nothing else of the study runs beside it. It computes
# on one thread, as cells do. The resource `measuring`, of which there is one, keeps two measurements from running at
# once on a cluster too, where they might share a node (petscale.workspace.slurm.settings).
def measurement_cores(wildcards):
    return ALL_CORES if workflow.local_exec else 1


ALL_CORES = sys.maxsize  # Snakemake gives a job that wants more cores than there are all of them
MEASUREMENT_PLACE = {
    **SITE.placement(GPUS),
    **({"nodes": 1, **SITE.devices(1)} if GPUS else {"slurm_extra": "--exclusive"}),
    "cpus_per_task": 1,
}


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
