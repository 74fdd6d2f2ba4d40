//go:build cgo && !pan123_nocgo

package pan123

/*
#include "bridge.h"
*/
import "C"

import "pan123/internal/abi"

func (linked) HTTPStr(x abi.Ptr, field uint32) string {
	var length C.size_t
	s := C.pan123_http_str((*C.pan123_http)(x), C.uint32_t(field), &length)
	return goText(s, length)
}

func (linked) HTTPI64(x abi.Ptr, field uint32, absent int64) int64 {
	return int64(C.pan123_http_i64((*C.pan123_http)(x), C.uint32_t(field), C.int64_t(absent)))
}

func (linked) HTTPHeader(x abi.Ptr, ofAnswer bool, i int) (string, string, bool) {
	var value *C.char
	name := C.pan123_http_header((*C.pan123_http)(x), C.int32_t(truth(ofAnswer)), C.size_t(i), &value)
	if name == nil {
		return "", "", false
	}
	return C.GoString(name), C.GoString(value), true
}

func (linked) HTTPSetHeader(x abi.Ptr, ofAnswer bool, name, value string) int32 {
	n, nLen := text(name)
	v, vLen := text(value)
	return int32(C.pan123_http_set_header((*C.pan123_http)(x), C.int32_t(truth(ofAnswer)), n, nLen, v, vLen))
}

func (linked) HTTPReadBody(x abi.Ptr, offset uint64, p []byte) (int, int32, abi.Ptr) {
	var n C.size_t
	var err *C.pan123_error
	buf, length := lend(p)
	status := C.pan123_http_read_body((*C.pan123_http)(x), C.uint64_t(offset), buf, length, &n, &err)
	return int(n), int32(status), abi.Ptr(err)
}

func (linked) HTTPAnswer(x abi.Ptr, httpStatus int, body []byte) int32 {
	data, length := lend(body)
	return int32(C.pan123_http_answer((*C.pan123_http)(x), C.int32_t(httpStatus), data, length))
}
