package nocgo

import "pan123/internal/abi"

// calls are the functions of the library, with its own types.
type calls struct {
	abiCheck   func(version uint32) int32
	version    func() *byte
	constantAt func(i uintptr, value *int64) *byte

	errorNew  func(code int32, text *byte, length uintptr) abi.Ptr
	errorI64  func(e abi.Ptr, field uint32, absent int64) int64
	errorStr  func(e abi.Ptr, field uint32, length *uintptr) *byte
	errorFree func(e abi.Ptr)

	resultI64  func(r abi.Ptr, field uint32, absent int64) int64
	resultStr  func(r abi.Ptr, field uint32, index uintptr, length *uintptr) *byte
	resultFree func(r abi.Ptr)

	optionsNew    func(out, err *abi.Ptr) int32
	optionsSetStr func(o abi.Ptr, option uint32, text *byte, length uintptr, err *abi.Ptr) int32
	optionsSetU64 func(o abi.Ptr, option uint32, value uint64, err *abi.Ptr) int32
	optionsFree   func(o abi.Ptr)

	stopNew  func(out, err *abi.Ptr) int32
	stopFire func(s abi.Ptr)
	stopFree func(s abi.Ptr)

	sourceNew        func(table *sourceTable, ctx uintptr, size uint64, out, err *abi.Ptr) int32
	sourceFromPath   func(path *byte, length uintptr, out, err *abi.Ptr) int32
	sourceFromMemory func(data *byte, length uintptr, release, ctx uintptr, out, err *abi.Ptr) int32
	sourceFree       func(s abi.Ptr)
	transportNew     func(inner abi.Ptr, table *transportTable, ctx uintptr, out, err *abi.Ptr) int32
	transportFree    func(t abi.Ptr)
	tokensNew        func(table *tokensTable, ctx uintptr, out, err *abi.Ptr) int32
	tokensFree       func(t abi.Ptr)
	sinkPut          func(sink abi.Ptr, data *byte, length uintptr) int32

	httpStr       func(x abi.Ptr, field uint32, length *uintptr) *byte
	httpI64       func(x abi.Ptr, field uint32, absent int64) int64
	httpHeader    func(x abi.Ptr, ofAnswer int32, i uintptr, value **byte) *byte
	httpSetHeader func(x abi.Ptr, ofAnswer int32, name *byte, nameLen uintptr, value *byte, valueLen uintptr) int32
	httpReadBody  func(x abi.Ptr, offset uint64, buf *byte, length uintptr, outN *uintptr, err *abi.Ptr) int32
	httpAnswer    func(x abi.Ptr, status int32, body *byte, length uintptr) int32

	queueNew    func(push abi.Ptr, ctx uintptr, out, err *abi.Ptr) int32
	queueNext   func(q abi.Ptr, timeoutMS int64, ev *event) int32
	queueHandle func(q abi.Ptr, handle *int64) int32
	queueFree   func(q abi.Ptr)

	clientNew      func(o, tokens, transport, store, queue abi.Ptr, out, err *abi.Ptr) int32
	clientShutdown func(c abi.Ptr, cancel int32, timeoutMS int64, err *abi.Ptr) int32
	clientFree     func(c abi.Ptr)

	hash      func(sources *abi.Ptr, n uintptr, sliceSize uint64, flags uint32, stop abi.Ptr, out, err *abi.Ptr) int32
	apiToken  func(c, stop abi.Ptr, out, err *abi.Ptr) int32
	apiDomain func(c, stop abi.Ptr, out, err *abi.Ptr) int32
	apiCreate func(c abi.Ptr, parent int64, name *byte, nameLen uintptr, etag *byte, etagLen uintptr, size uint64,
		o, stop abi.Ptr, out, err *abi.Ptr) int32
	apiSlice func(c abi.Ptr, server *byte, serverLen uintptr, id *byte, idLen uintptr, no uint32, md5 *byte,
		md5Len uintptr, data *byte, length uintptr, stop abi.Ptr, err *abi.Ptr) int32
	apiSliceFrom func(c abi.Ptr, server *byte, serverLen uintptr, id *byte, idLen uintptr, no uint32, md5 *byte,
		md5Len uintptr, source abi.Ptr, offset, length uint64, stop abi.Ptr, err *abi.Ptr) int32
	apiComplete func(c abi.Ptr, id *byte, idLen uintptr, stop abi.Ptr, out, err *abi.Ptr) int32
	apiSingle   func(c abi.Ptr, server *byte, serverLen uintptr, parent int64, name *byte, nameLen uintptr, etag *byte,
		etagLen uintptr, source, o, stop abi.Ptr, out, err *abi.Ptr) int32

	uploadNew func(c, s abi.Ptr, parent int64, name *byte, nameLen uintptr, o abi.Ptr, user uint64,
		out, err *abi.Ptr) int32
	uploadImport func(c, s abi.Ptr, state *byte, length uintptr, o abi.Ptr, user uint64, out, err *abi.Ptr) int32
	uploadStart  func(u abi.Ptr, err *abi.Ptr) int32
	uploadCancel func(u abi.Ptr)
	uploadPause  func(u abi.Ptr)
	uploadWait   func(u abi.Ptr, timeoutMS int64, out, err *abi.Ptr) int32
	uploadState  func(u abi.Ptr, progress *abi.Progress) int32
	uploadExport func(u abi.Ptr, out, err *abi.Ptr) int32
	uploadFree   func(u abi.Ptr)
}

// symbol is a function of the library and where it goes.
type symbol struct {
	name string
	into any
}

// versionSymbols of symbols come first, and tell whether the others can be expected.
const versionSymbols = 2

func (c *calls) symbols() []symbol {
	return []symbol{
		{"pan123_abi_check", &c.abiCheck}, {"pan123_version", &c.version}, {"pan123_constant_at", &c.constantAt},
		{"pan123_error_new", &c.errorNew}, {"pan123_error_i64", &c.errorI64}, {"pan123_error_str", &c.errorStr},
		{"pan123_error_free", &c.errorFree}, {"pan123_result_i64", &c.resultI64}, {"pan123_result_str", &c.resultStr},
		{"pan123_result_free", &c.resultFree}, {"pan123_options_new", &c.optionsNew},
		{"pan123_options_set_str", &c.optionsSetStr}, {"pan123_options_set_u64", &c.optionsSetU64},
		{"pan123_options_free", &c.optionsFree}, {"pan123_stop_new", &c.stopNew}, {"pan123_stop_fire", &c.stopFire},
		{"pan123_stop_free", &c.stopFree}, {"pan123_source_new", &c.sourceNew},
		{"pan123_source_from_path", &c.sourceFromPath}, {"pan123_source_from_memory", &c.sourceFromMemory},
		{"pan123_source_free", &c.sourceFree}, {"pan123_transport_new", &c.transportNew},
		{"pan123_transport_free", &c.transportFree}, {"pan123_tokens_new", &c.tokensNew},
		{"pan123_tokens_free", &c.tokensFree}, {"pan123_sink_put", &c.sinkPut}, {"pan123_http_str", &c.httpStr},
		{"pan123_http_i64", &c.httpI64}, {"pan123_http_header", &c.httpHeader},
		{"pan123_http_set_header", &c.httpSetHeader}, {"pan123_http_read_body", &c.httpReadBody},
		{"pan123_http_answer", &c.httpAnswer}, {"pan123_queue_new", &c.queueNew}, {"pan123_queue_next", &c.queueNext},
		{"pan123_queue_handle", &c.queueHandle}, {"pan123_queue_free", &c.queueFree},
		{"pan123_client_new", &c.clientNew}, {"pan123_client_shutdown", &c.clientShutdown},
		{"pan123_client_free", &c.clientFree}, {"pan123_hash", &c.hash}, {"pan123_api_token", &c.apiToken},
		{"pan123_api_domain", &c.apiDomain}, {"pan123_api_create", &c.apiCreate}, {"pan123_api_slice", &c.apiSlice},
		{"pan123_api_slice_from", &c.apiSliceFrom}, {"pan123_api_complete", &c.apiComplete},
		{"pan123_api_single", &c.apiSingle}, {"pan123_upload_new", &c.uploadNew},
		{"pan123_upload_import", &c.uploadImport}, {"pan123_upload_start", &c.uploadStart},
		{"pan123_upload_cancel", &c.uploadCancel}, {"pan123_upload_pause", &c.uploadPause},
		{"pan123_upload_wait", &c.uploadWait}, {"pan123_upload_progress", &c.uploadState},
		{"pan123_upload_export", &c.uploadExport}, {"pan123_upload_free", &c.uploadFree},
	}
}
