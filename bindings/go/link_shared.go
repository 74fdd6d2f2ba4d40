//go:build cgo && !pan123_nocgo && !pan123_static

package pan123

// #cgo pkg-config: pan123
import "C"
