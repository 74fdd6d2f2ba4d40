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

func init() { abi.Linked = linked{} }

// linked is the library that the program is linked with.
type linked struct{}

// empty is what an empty text points to: NULL means that there is none.
var empty C.char

// text lends a string to the library for one call.
func text(s string) (*C.char, C.size_t) {
	if s == "" {
		return &empty, 0
	}
	return (*C.char)(unsafe.Pointer(unsafe.StringData(s))), C.size_t(len(s))
}

// optional is text, but NULL for an empty string.
func optional(s string) (*C.char, C.size_t) {
	if s == "" {
		return nil, 0
	}
	return text(s)
}

func lend(data []byte) (*C.uint8_t, C.size_t) {
	return (*C.uint8_t)(unsafe.SliceData(data)), C.size_t(len(data))
}

func goText(s *C.char, length C.size_t) string {
	if s == nil {
		return ""
	}
	return string(unsafe.Slice((*byte)(unsafe.Pointer(s)), int(length)))
}

func (linked) ABICheck(version uint32) int32 { return int32(C.pan123_abi_check(C.uint32_t(version))) }

func (linked) Version() string { return C.GoString(C.pan123_version()) }

func (linked) ConstantAt(i int) (string, int64) {
	var value C.int64_t
	name := C.GoString(C.pan123_constant_at(C.size_t(i), &value))
	return name, int64(value)
}

func (linked) ErrorI64(e abi.Ptr, field uint32, absent int64) int64 {
	return int64(C.pan123_error_i64((*C.pan123_error)(e), C.uint32_t(field), C.int64_t(absent)))
}

func (linked) ErrorStr(e abi.Ptr, field uint32) string {
	var length C.size_t
	s := C.pan123_error_str((*C.pan123_error)(e), C.uint32_t(field), &length)
	return goText(s, length)
}

func (linked) ErrorFree(e abi.Ptr) { C.pan123_error_free((*C.pan123_error)(e)) }

func (linked) ResultI64(r abi.Ptr, field uint32, absent int64) int64 {
	return int64(C.pan123_result_i64((*C.pan123_result)(r), C.uint32_t(field), C.int64_t(absent)))
}

func (linked) ResultStr(r abi.Ptr, field uint32, index int) (string, bool) {
	var length C.size_t
	s := C.pan123_result_str((*C.pan123_result)(r), C.uint32_t(field), C.size_t(index), &length)
	return goText(s, length), s != nil
}

func (linked) ResultFree(r abi.Ptr) { C.pan123_result_free((*C.pan123_result)(r)) }

func (linked) OptionsNew() (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_options
	var err *C.pan123_error
	status := C.pan123_options_new(&out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}

func (linked) OptionsSetStr(o abi.Ptr, option uint32, value string) (int32, abi.Ptr) {
	var err *C.pan123_error
	s, length := text(value)
	status := C.pan123_options_set_str((*C.pan123_options)(o), C.uint32_t(option), s, length, &err)
	return int32(status), abi.Ptr(err)
}

func (linked) OptionsSetU64(o abi.Ptr, option uint32, value uint64) (int32, abi.Ptr) {
	var err *C.pan123_error
	status := C.pan123_options_set_u64((*C.pan123_options)(o), C.uint32_t(option), C.uint64_t(value), &err)
	return int32(status), abi.Ptr(err)
}

func (linked) OptionsFree(o abi.Ptr) { C.pan123_options_free((*C.pan123_options)(o)) }

func (linked) StopNew() (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_stop
	var err *C.pan123_error
	status := C.pan123_stop_new(&out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}

func (linked) StopFire(s abi.Ptr) { C.pan123_stop_fire((*C.pan123_stop)(s)) }

func (linked) StopFree(s abi.Ptr) { C.pan123_stop_free((*C.pan123_stop)(s)) }

func (linked) SourceNew(ctx uintptr, size uint64, hasIdentity bool) (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_source
	var err *C.pan123_error
	status := C.pan123go_source_new(C.uintptr_t(ctx), C.uint64_t(size), truth(hasIdentity), &out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}

func (linked) SourceFromPath(path string) (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_source
	var err *C.pan123_error
	s, length := text(path)
	status := C.pan123_source_from_path(s, length, &out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}

func (linked) SourceFromMemory(data []byte, ctx uintptr) (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_source
	var err *C.pan123_error
	p, length := lend(data)
	status := C.pan123go_source_from_memory(p, length, C.uintptr_t(ctx), &out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}

func (linked) SourceFree(s abi.Ptr) { C.pan123_source_free((*C.pan123_source)(s)) }

func (linked) TransportNew(ctx uintptr) (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_transport
	var err *C.pan123_error
	status := C.pan123go_transport_new(C.uintptr_t(ctx), &out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}

func (linked) TransportFree(t abi.Ptr) { C.pan123_transport_free((*C.pan123_transport)(t)) }

func (linked) TokensNew(ctx uintptr) (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_tokens
	var err *C.pan123_error
	status := C.pan123go_tokens_new(C.uintptr_t(ctx), &out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}

func (linked) TokensFree(t abi.Ptr) { C.pan123_tokens_free((*C.pan123_tokens)(t)) }

func truth(b bool) C.int {
	if b {
		return 1
	}
	return 0
}
