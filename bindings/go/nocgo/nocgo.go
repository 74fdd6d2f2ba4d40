// Package nocgo lets programs that are built without cgo use package pan123: it loads libpan123 as a shared library when
// the program runs. Import it for that, and use package pan123 as ever:
//
//	import (
//		"pan123"
//		_ "pan123/nocgo"
//	)
//
// The library is the file that the environment variable PAN123_LIBRARY names or, without it, libpan123.so.0.1
// (libpan123.0.1.dylib on macOS) where the system looks for libraries. It is loaded by the first call that needs it; if
// it cannot be, or does not fit, that call and all others return an error that says so, of the kind pan123.ErrABI.
//
// In a program that is built with cgo this package does nothing, because pan123 is linked with the library then; the
// build tag pan123_nocgo makes pan123 leave that to this package.
package nocgo

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"

	"pan123/internal/abi"
)

func init() { abi.Load = load }

// library is libpan123, loaded.
type library struct {
	calls
	release   uintptr
	source    sourceTable
	transport transportTable
	tokens    tokensTable
}

func fileName() string {
	if name := os.Getenv("PAN123_LIBRARY"); name != "" {
		return name
	}
	if runtime.GOOS == "darwin" {
		return "libpan123.0.1.dylib"
	}
	return "libpan123.so.0.1"
}

func load() (abi.Lib, error) {
	name := fileName()
	handle, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("cannot load libpan123: %w; install libpan123 0.1, or set PAN123_LIBRARY to the path of "+
			"its shared library", err)
	}
	lib := &library{}
	for i, symbol := range lib.symbols() {
		address, err := purego.Dlsym(handle, symbol.name)
		if err != nil {
			return nil, fmt.Errorf("%s is no libpan123 0.1, or is too old: it has no %s; install libpan123 0.1", name, symbol.name)
		}
		purego.RegisterFunc(symbol.into, address)
		// The first tells whether the others can be expected; whoever asks for the library says why it does not fit.
		if i == versionSymbols-1 && lib.ABICheck(abi.ABI_VERSION) != abi.OK {
			return lib, nil
		}
	}
	lib.makeTables()
	return lib, nil
}

// text lends a string to the library for one call. NULL means that there is none, so an empty one points somewhere.
func text(s string) (*byte, uintptr) {
	if s == "" {
		return &empty, 0
	}
	return unsafe.StringData(s), uintptr(len(s))
}

var empty byte

// optional is text, but NULL for an empty string.
func optional(s string) (*byte, uintptr) {
	if s == "" {
		return nil, 0
	}
	return text(s)
}

func lend(data []byte) (*byte, uintptr) { return unsafe.SliceData(data), uintptr(len(data)) }

// copied is a text that the library lends.
func copied(s *byte, length uintptr) string {
	if s == nil {
		return ""
	}
	return string(unsafe.Slice(s, length))
}

// terminated is a text that the library lends, up to its NUL.
func terminated(s *byte) string {
	if s == nil {
		return ""
	}
	length := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(s), length)) != 0 {
		length++
	}
	return copied(s, uintptr(length))
}

func truth(b bool) int32 {
	if b {
		return 1
	}
	return 0
}
