// Command cost is package cost without cgo.
package main

import (
	"pan123/internal/cost"
	_ "pan123/nocgo"
)

func main() { cost.Main() }
