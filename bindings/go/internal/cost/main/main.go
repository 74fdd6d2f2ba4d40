// Command main is package cost over cgo.
package main

import "pan123/internal/cost"

func main() { cost.Main() }
