# petscale: how model scale changes parameter-efficient tuning.
#
#   snakemake --cores 2                                              the default study (config.yaml)
#   snakemake --cores 2 --configfile studies/mini.yaml               another study
#   snakemake --profile slurm --configfile studies/su2023.yaml       on a cluster

from snakemake.utils import min_version

min_version("9.27")


include: "workflow/rules/common.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/cells.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/track.smk"


rule all:
    default_target: True
    input:
        # The cells are asked for too: Snakemake does not look below a report that is there.
        STUDY.results,
        STUDY.probe_results,
        STUDY.transfer_results,
        STUDY.measurement_results,
        STUDY.layout.report(STUDY.study.name),
        STUDY.layout.study_tracked(STUDY.study.name),
    localrule: True


# All cells, searches, transfers and measurements, without the report.
rule cells:
    input:
        STUDY.results,
        STUDY.probe_results,
        STUDY.transfer_results,
        STUDY.measurement_results,
    localrule: True
