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

func (linked) QueueNew() (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_queue
	var err *C.pan123_error
	status := C.pan123_queue_new(nil, 0, &out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}

func (linked) QueueNext(q abi.Ptr, timeoutMS int64, into *abi.Event) int32 {
	var ev C.pan123_event
	ev.struct_size = C.uint32_t(unsafe.Sizeof(ev))
	status := C.pan123_queue_next((*C.pan123_queue)(q), C.int64_t(timeoutMS), &ev)
	*into = abi.Event{
		Kind: uint32(ev.kind), SliceNo: uint32(ev.slice_no), Code: int32(ev.code), User: uint64(ev.user),
		Seq: uint64(ev.seq), BytesDone: uint64(ev.bytes_done), BytesTotal: uint64(ev.bytes_total),
		Value: int64(ev.value), Text: goText(ev.text, ev.text_len),
	}
	return int32(status)
}

func (linked) QueueHandle(q abi.Ptr) (int64, int32) {
	var handle C.int64_t
	status := C.pan123_queue_handle((*C.pan123_queue)(q), &handle)
	return int64(handle), int32(status)
}

func (linked) QueueFree(q abi.Ptr) { C.pan123_queue_free((*C.pan123_queue)(q)) }

func (linked) ClientNew(o, tokens, transport, queue abi.Ptr) (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_client
	var err *C.pan123_error
	status := C.pan123_client_new((*C.pan123_options)(o), (*C.pan123_tokens)(tokens),
		(*C.pan123_transport)(transport), nil, (*C.pan123_queue)(queue), &out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}

func (linked) ClientShutdown(c abi.Ptr, cancel bool, timeoutMS int64) (int32, abi.Ptr) {
	var err *C.pan123_error
	status := C.pan123_client_shutdown((*C.pan123_client)(c), C.int32_t(truth(cancel)), C.int64_t(timeoutMS), &err)
	return int32(status), abi.Ptr(err)
}

func (linked) ClientFree(c abi.Ptr) { C.pan123_client_free((*C.pan123_client)(c)) }

func (linked) Hash(sources []abi.Ptr, sliceSize uint64, flags uint32, stop abi.Ptr) ([]abi.Ptr, int32, abi.Ptr) {
	results := make([]abi.Ptr, len(sources))
	var err *C.pan123_error
	status := C.pan123_hash((**C.pan123_source)(unsafe.Pointer(unsafe.SliceData(sources))), C.size_t(len(sources)),
		C.uint64_t(sliceSize), C.uint32_t(flags), (*C.pan123_stop)(stop),
		(**C.pan123_result)(unsafe.Pointer(unsafe.SliceData(results))), &err)
	return results, int32(status), abi.Ptr(err)
}

func (linked) Token(c, stop abi.Ptr) (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_result
	var err *C.pan123_error
	status := C.pan123_api_token((*C.pan123_client)(c), (*C.pan123_stop)(stop), &out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}

func (linked) Domain(c, stop abi.Ptr) (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_result
	var err *C.pan123_error
	status := C.pan123_api_domain((*C.pan123_client)(c), (*C.pan123_stop)(stop), &out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}

func (linked) Create(
	c abi.Ptr, parent int64, name, etag string, size uint64, o, stop abi.Ptr,
) (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_result
	var err *C.pan123_error
	n, nLen := text(name)
	e, eLen := text(etag)
	status := C.pan123_api_create((*C.pan123_client)(c), C.int64_t(parent), n, nLen, e, eLen, C.uint64_t(size),
		(*C.pan123_options)(o), (*C.pan123_stop)(stop), &out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}

func (linked) Slice(
	c abi.Ptr, server, preuploadID string, no uint32, md5 string, data []byte, stop abi.Ptr,
) (int32, abi.Ptr) {
	var err *C.pan123_error
	s, sLen := text(server)
	id, idLen := text(preuploadID)
	m, mLen := optional(md5)
	d, dLen := lend(data)
	status := C.pan123_api_slice((*C.pan123_client)(c), s, sLen, id, idLen, C.uint32_t(no), m, mLen, d, dLen,
		(*C.pan123_stop)(stop), &err)
	return int32(status), abi.Ptr(err)
}

func (linked) SliceFrom(
	c abi.Ptr, server, preuploadID string, no uint32, md5 string, source abi.Ptr, offset, length uint64, stop abi.Ptr,
) (int32, abi.Ptr) {
	var err *C.pan123_error
	s, sLen := text(server)
	id, idLen := text(preuploadID)
	m, mLen := optional(md5)
	status := C.pan123_api_slice_from((*C.pan123_client)(c), s, sLen, id, idLen, C.uint32_t(no), m, mLen,
		(*C.pan123_source)(source), C.uint64_t(offset), C.uint64_t(length), (*C.pan123_stop)(stop), &err)
	return int32(status), abi.Ptr(err)
}

func (linked) Complete(c abi.Ptr, preuploadID string, stop abi.Ptr) (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_result
	var err *C.pan123_error
	id, idLen := text(preuploadID)
	status := C.pan123_api_complete((*C.pan123_client)(c), id, idLen, (*C.pan123_stop)(stop), &out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}

func (linked) Single(
	c abi.Ptr, server string, parent int64, name, etag string, source, o, stop abi.Ptr,
) (abi.Ptr, int32, abi.Ptr) {
	var out *C.pan123_result
	var err *C.pan123_error
	s, sLen := text(server)
	n, nLen := text(name)
	e, eLen := text(etag)
	status := C.pan123_api_single((*C.pan123_client)(c), s, sLen, C.int64_t(parent), n, nLen, e, eLen,
		(*C.pan123_source)(source), (*C.pan123_options)(o), (*C.pan123_stop)(stop), &out, &err)
	return abi.Ptr(out), int32(status), abi.Ptr(err)
}
