module pan123/nocgo

go 1.25.0

require (
	github.com/ebitengine/purego v0.11.3
	pan123 v0.0.0
)

replace pan123 => ../
