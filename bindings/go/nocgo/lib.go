package nocgo

import "pan123/internal/abi"

func (l *library) ABICheck(version uint32) int32 { return l.abiCheck(version) }

func (l *library) Version() string { return terminated(l.version()) }

func (l *library) ConstantAt(i int) (string, int64) {
	var value int64
	name := terminated(l.constantAt(uintptr(i), &value))
	return name, value
}

func (l *library) ErrorI64(e abi.Ptr, field uint32, absent int64) int64 {
	return l.errorI64(e, field, absent)
}

func (l *library) ErrorStr(e abi.Ptr, field uint32) string {
	var length uintptr
	s := l.errorStr(e, field, &length)
	return copied(s, length)
}

func (l *library) ErrorFree(e abi.Ptr) { l.errorFree(e) }

func (l *library) ResultI64(r abi.Ptr, field uint32, absent int64) int64 {
	return l.resultI64(r, field, absent)
}

func (l *library) ResultStr(r abi.Ptr, field uint32, index int) (string, bool) {
	var length uintptr
	s := l.resultStr(r, field, uintptr(index), &length)
	return copied(s, length), s != nil
}

func (l *library) ResultFree(r abi.Ptr) { l.resultFree(r) }

func (l *library) OptionsNew() (out abi.Ptr, status int32, err abi.Ptr) {
	status = l.optionsNew(&out, &err)
	return out, status, err
}

func (l *library) OptionsSetStr(o abi.Ptr, option uint32, value string) (status int32, err abi.Ptr) {
	s, length := text(value)
	status = l.optionsSetStr(o, option, s, length, &err)
	return status, err
}

func (l *library) OptionsSetU64(o abi.Ptr, option uint32, value uint64) (status int32, err abi.Ptr) {
	status = l.optionsSetU64(o, option, value, &err)
	return status, err
}

func (l *library) OptionsFree(o abi.Ptr) { l.optionsFree(o) }

func (l *library) StopNew() (out abi.Ptr, status int32, err abi.Ptr) {
	status = l.stopNew(&out, &err)
	return out, status, err
}

func (l *library) StopFire(s abi.Ptr) { l.stopFire(s) }

func (l *library) StopFree(s abi.Ptr) { l.stopFree(s) }

func (l *library) SourceNew(ctx uintptr, size uint64, hasIdentity bool) (out abi.Ptr, status int32, err abi.Ptr) {
	table := l.source
	if !hasIdentity {
		table.identity = 0
	}
	status = l.sourceNew(&table, ctx, size, &out, &err)
	return out, status, err
}

func (l *library) SourceFromPath(path string) (out abi.Ptr, status int32, err abi.Ptr) {
	s, length := text(path)
	status = l.sourceFromPath(s, length, &out, &err)
	return out, status, err
}

func (l *library) SourceFromMemory(data []byte, ctx uintptr) (out abi.Ptr, status int32, err abi.Ptr) {
	p, length := lend(data)
	status = l.sourceFromMemory(p, length, l.release, ctx, &out, &err)
	return out, status, err
}

func (l *library) SourceFree(s abi.Ptr) { l.sourceFree(s) }

func (l *library) TransportNew(ctx uintptr) (out abi.Ptr, status int32, err abi.Ptr) {
	status = l.transportNew(nil, &l.transport, ctx, &out, &err)
	return out, status, err
}

func (l *library) TransportFree(t abi.Ptr) { l.transportFree(t) }

func (l *library) TokensNew(ctx uintptr) (out abi.Ptr, status int32, err abi.Ptr) {
	status = l.tokensNew(&l.tokens, ctx, &out, &err)
	return out, status, err
}

func (l *library) TokensFree(t abi.Ptr) { l.tokensFree(t) }

func (l *library) HTTPStr(x abi.Ptr, field uint32) string {
	var length uintptr
	s := l.httpStr(x, field, &length)
	return copied(s, length)
}

func (l *library) HTTPI64(x abi.Ptr, field uint32, absent int64) int64 {
	return l.httpI64(x, field, absent)
}

func (l *library) HTTPHeader(x abi.Ptr, ofAnswer bool, i int) (string, string, bool) {
	var value *byte
	name := l.httpHeader(x, truth(ofAnswer), uintptr(i), &value)
	if name == nil {
		return "", "", false
	}
	return terminated(name), terminated(value), true
}

func (l *library) HTTPSetHeader(x abi.Ptr, ofAnswer bool, name, value string) int32 {
	n, nLen := text(name)
	v, vLen := text(value)
	return l.httpSetHeader(x, truth(ofAnswer), n, nLen, v, vLen)
}

func (l *library) HTTPReadBody(x abi.Ptr, offset uint64, p []byte) (int, int32, abi.Ptr) {
	var n uintptr
	var err abi.Ptr
	buf, length := lend(p)
	status := l.httpReadBody(x, offset, buf, length, &n, &err)
	return int(n), status, err
}

func (l *library) HTTPAnswer(x abi.Ptr, httpStatus int, body []byte) int32 {
	data, length := lend(body)
	return l.httpAnswer(x, int32(httpStatus), data, length)
}
