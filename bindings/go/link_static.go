//go:build cgo && !pan123_nocgo && pan123_static

package pan123

// In a file of its own, because Go's build cache knows files but not what pkg-config said: with both in one file, a
// program would be linked as the one before it was.

// #cgo pkg-config: --static pan123
import "C"
