module countersign.example/guide

go 1.22

require github.com/PipeOpsHQ/pipeops-go-sdk v0.18.7
