module slice

go 1.24

require pan123 v0.0.0

replace pan123 => ../../bindings/go
