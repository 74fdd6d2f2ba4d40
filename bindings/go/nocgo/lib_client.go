package nocgo

import (
	"unsafe"

	"pan123/internal/abi"
)

func (l *library) QueueNew() (out abi.Ptr, status int32, err abi.Ptr) {
	status = l.queueNew(nil, 0, &out, &err)
	return out, status, err
}

func (l *library) QueueNext(q abi.Ptr, timeoutMS int64, into *abi.Event) int32 {
	ev := event{structSize: uint32(unsafe.Sizeof(event{}))}
	status := l.queueNext(q, timeoutMS, &ev)
	*into = abi.Event{
		Kind: ev.kind, SliceNo: ev.sliceNo, Code: ev.code, User: ev.user, Seq: ev.seq, BytesDone: ev.bytesDone,
		BytesTotal: ev.bytesTotal, Value: ev.value, Text: copied(ev.text, ev.textLen),
	}
	return status
}

func (l *library) QueueHandle(q abi.Ptr) (handle int64, status int32) {
	status = l.queueHandle(q, &handle)
	return handle, status
}

func (l *library) QueueFree(q abi.Ptr) { l.queueFree(q) }

func (l *library) ClientNew(o, tokens, transport, queue abi.Ptr) (out abi.Ptr, status int32, err abi.Ptr) {
	status = l.clientNew(o, tokens, transport, nil, queue, &out, &err)
	return out, status, err
}

func (l *library) ClientShutdown(c abi.Ptr, cancel bool, timeoutMS int64) (status int32, err abi.Ptr) {
	status = l.clientShutdown(c, truth(cancel), timeoutMS, &err)
	return status, err
}

func (l *library) ClientFree(c abi.Ptr) { l.clientFree(c) }

func (l *library) Hash(sources []abi.Ptr, sliceSize uint64, flags uint32, stop abi.Ptr) ([]abi.Ptr, int32, abi.Ptr) {
	results := make([]abi.Ptr, len(sources))
	var err abi.Ptr
	status := l.hash(unsafe.SliceData(sources), uintptr(len(sources)), sliceSize, flags, stop,
		unsafe.SliceData(results), &err)
	return results, status, err
}

func (l *library) Token(c, stop abi.Ptr) (out abi.Ptr, status int32, err abi.Ptr) {
	status = l.apiToken(c, stop, &out, &err)
	return out, status, err
}

func (l *library) Domain(c, stop abi.Ptr) (out abi.Ptr, status int32, err abi.Ptr) {
	status = l.apiDomain(c, stop, &out, &err)
	return out, status, err
}

func (l *library) Create(
	c abi.Ptr, parent int64, name, etag string, size uint64, o, stop abi.Ptr,
) (out abi.Ptr, status int32, err abi.Ptr) {
	n, nLen := text(name)
	e, eLen := text(etag)
	status = l.apiCreate(c, parent, n, nLen, e, eLen, size, o, stop, &out, &err)
	return out, status, err
}

func (l *library) Slice(
	c abi.Ptr, server, preuploadID string, no uint32, md5 string, data []byte, stop abi.Ptr,
) (status int32, err abi.Ptr) {
	s, sLen := text(server)
	id, idLen := text(preuploadID)
	m, mLen := optional(md5)
	d, dLen := lend(data)
	status = l.apiSlice(c, s, sLen, id, idLen, no, m, mLen, d, dLen, stop, &err)
	return status, err
}

func (l *library) SliceFrom(
	c abi.Ptr, server, preuploadID string, no uint32, md5 string, source abi.Ptr, offset, length uint64, stop abi.Ptr,
) (status int32, err abi.Ptr) {
	s, sLen := text(server)
	id, idLen := text(preuploadID)
	m, mLen := optional(md5)
	status = l.apiSliceFrom(c, s, sLen, id, idLen, no, m, mLen, source, offset, length, stop, &err)
	return status, err
}

func (l *library) Complete(c abi.Ptr, preuploadID string, stop abi.Ptr) (out abi.Ptr, status int32, err abi.Ptr) {
	id, idLen := text(preuploadID)
	status = l.apiComplete(c, id, idLen, stop, &out, &err)
	return out, status, err
}

func (l *library) Single(
	c abi.Ptr, server string, parent int64, name, etag string, source, o, stop abi.Ptr,
) (out abi.Ptr, status int32, err abi.Ptr) {
	s, sLen := text(server)
	n, nLen := text(name)
	e, eLen := text(etag)
	status = l.apiSingle(c, s, sLen, parent, n, nLen, e, eLen, source, o, stop, &out, &err)
	return out, status, err
}

func (l *library) UploadNew(
	c, s abi.Ptr, parent int64, name string, o abi.Ptr, user uint64,
) (out abi.Ptr, status int32, err abi.Ptr) {
	n, nLen := text(name)
	status = l.uploadNew(c, s, parent, n, nLen, o, user, &out, &err)
	return out, status, err
}

func (l *library) UploadImport(
	c, s abi.Ptr, state []byte, o abi.Ptr, user uint64,
) (out abi.Ptr, status int32, err abi.Ptr) {
	data, length := lend(state)
	status = l.uploadImport(c, s, data, length, o, user, &out, &err)
	return out, status, err
}

func (l *library) UploadStart(u abi.Ptr) (status int32, err abi.Ptr) {
	status = l.uploadStart(u, &err)
	return status, err
}

func (l *library) UploadCancel(u abi.Ptr) { l.uploadCancel(u) }

func (l *library) UploadPause(u abi.Ptr) { l.uploadPause(u) }

func (l *library) UploadWait(u abi.Ptr, timeoutMS int64) (out abi.Ptr, status int32, err abi.Ptr) {
	status = l.uploadWait(u, timeoutMS, &out, &err)
	return out, status, err
}

func (l *library) UploadProgress(u abi.Ptr, p *abi.Progress) int32 {
	p.StructSize = uint32(unsafe.Sizeof(*p))
	return l.uploadState(u, p)
}

func (l *library) UploadExport(u abi.Ptr) (out abi.Ptr, status int32, err abi.Ptr) {
	status = l.uploadExport(u, &out, &err)
	return out, status, err
}

func (l *library) UploadFree(u abi.Ptr) { l.uploadFree(u) }
