process CYTOBOX_DETECT {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container "localhost/cytobox:0.1.0-bash"

    input:
    tuple val(meta), path(images)
    path(detector)

    output:
    tuple val(meta), path("${prefix}")                                , emit: results
    tuple val(meta), path("${prefix}/detections.*")                   , emit: detections  , optional: true
    tuple val(meta), path("${prefix}/measurements*.csv")              , emit: measurements, optional: true
    tuple val("${task.process}"), val('cytobox'), eval("cytobox --version | sed 's/cytobox //'"), topic: versions, emit: versions_cytobox

    when:
    task.ext.when == null || task.ext.when

    script:
    def args  = task.ext.args ?: ''
    def model = detector ? "--model ${detector}" : '--model general'
    prefix    = task.ext.prefix ?: "${meta.id}"
    if (images.any { image -> image.name == prefix }) error "The images are named ${prefix} as the results; set `task.ext.prefix`"
    """
    cytobox \\
        detect \\
        ${images} \\
        --out ${prefix} \\
        ${model} \\
        --jobs ${task.cpus} \\
        ${args}
    """

    stub:
    def args = task.ext.args ?: ''
    prefix   = task.ext.prefix ?: "${meta.id}"
    """
    echo "${args}"

    mkdir ${prefix}
    touch ${prefix}/detections.jsonl
    touch ${prefix}/measurements.csv
    """
}
