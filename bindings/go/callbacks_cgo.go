//go:build cgo && !pan123_nocgo

package pan123

/*
#include "bridge.h"
*/
import "C"

import (
	"unsafe"

	"pan123/internal/abi"
)

//export pan123goRelease
func pan123goRelease(ctx C.uintptr_t) {
	abi.Release(uintptr(ctx))
}

//export pan123goReadAt
func pan123goReadAt(
	ctx C.uintptr_t, offset C.uint64_t, buf *C.uint8_t, length C.size_t, outN *C.size_t, err **C.pan123_error,
) C.pan123_status {
	n, status, message := abi.ReadAt(uintptr(ctx), uint64(offset), (*byte)(buf), uintptr(length))
	*outN = C.size_t(n)
	return answer(status, message, err)
}

//export pan123goIdentity
func pan123goIdentity(ctx C.uintptr_t, out *C.pan123_identity, err **C.pan123_error) C.pan123_status {
	status, message := abi.Identify(uintptr(ctx), (*abi.Identity)(unsafe.Pointer(out)))
	return answer(status, message, err)
}

//export pan123goSend
func pan123goSend(ctx C.uintptr_t, x *C.pan123_http, err **C.pan123_error) C.pan123_status {
	status, message := abi.Send(uintptr(ctx), abi.Ptr(x))
	return answer(status, message, err)
}

//export pan123goInterrupt
func pan123goInterrupt(ctx C.uintptr_t, x *C.pan123_http) {
	abi.Interrupt(uintptr(ctx), abi.Ptr(x))
}

//export pan123goGetToken
func pan123goGetToken(
	ctx C.uintptr_t, refused *C.char, refusedLen C.size_t, sink *C.pan123_sink, expires *C.int64_t,
	err **C.pan123_error,
) C.pan123_status {
	token, expiresMS, status, message := abi.GetToken(uintptr(ctx), goText(refused, refusedLen))
	if status == abi.OK {
		*expires = C.int64_t(expiresMS)
		data, length := text(token)
		return C.pan123_sink_put(sink, (*C.uint8_t)(unsafe.Pointer(data)), length)
	}
	return answer(status, message, err)
}

// answer is what a callback returns; the library owns the error from then on.
func answer(status int32, message string, err **C.pan123_error) C.pan123_status {
	if status != abi.OK && err != nil {
		data, length := text(message)
		*err = C.pan123_error_new(C.pan123_status(status), data, length)
	}
	return C.pan123_status(status)
}
