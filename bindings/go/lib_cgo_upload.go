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

func (linked) UploadNew(c, s abi.Ptr, parent int64, name string, o abi.Ptr, user uint64) (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_upload
	var err *C.pan123_error
	n, nLen := text(name)
	status := C.pan123_upload_new((*C.pan123_client)(c), (*C.pan123_source)(s), C.int64_t(parent), n, nLen,
		(*C.pan123_options)(o), C.uint64_t(user), &out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}

func (linked) UploadImport(c, s abi.Ptr, state []byte, o abi.Ptr, user uint64) (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_upload
	var err *C.pan123_error
	data, length := lend(state)
	status := C.pan123_upload_import((*C.pan123_client)(c), (*C.pan123_source)(s), data, length,
		(*C.pan123_options)(o), C.uint64_t(user), &out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}

func (linked) UploadStart(u abi.Ptr) (int32, abi.Ptr) {
	var err *C.pan123_error
	status := C.pan123_upload_start((*C.pan123_upload)(u), &err)
	return int32(status), abi.Ptr(err)
}

func (linked) UploadCancel(u abi.Ptr) { C.pan123_upload_cancel((*C.pan123_upload)(u)) }

func (linked) UploadPause(u abi.Ptr) { C.pan123_upload_pause((*C.pan123_upload)(u)) }

func (linked) UploadWait(u abi.Ptr, timeoutMS int64) (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_result
	var err *C.pan123_error
	status := C.pan123_upload_wait((*C.pan123_upload)(u), C.int64_t(timeoutMS), &out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}

func (linked) UploadProgress(u abi.Ptr, p *abi.Progress) int32 {
	p.StructSize = uint32(unsafe.Sizeof(*p))
	return int32(C.pan123_upload_progress((*C.pan123_upload)(u), (*C.pan123_progress)(unsafe.Pointer(p))))
}

func (linked) UploadExport(u abi.Ptr) (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_result
	var err *C.pan123_error
	status := C.pan123_upload_export((*C.pan123_upload)(u), &out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}

func (linked) UploadFree(u abi.Ptr) { C.pan123_upload_free((*C.pan123_upload)(u)) }

// What the library fills in place has the same layout on both sides.
var (
	_ [unsafe.Sizeof(abi.Progress{}) - C.sizeof_pan123_progress]struct{}
	_ [C.sizeof_pan123_progress - unsafe.Sizeof(abi.Progress{})]struct{}
	_ [unsafe.Sizeof(abi.Identity{}) - C.sizeof_pan123_identity]struct{}
	_ [C.sizeof_pan123_identity - unsafe.Sizeof(abi.Identity{})]struct{}
)
