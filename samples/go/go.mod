module countersign.example/keyed

go 1.22
