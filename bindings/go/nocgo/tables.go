package nocgo

import (
	"unsafe"

	"github.com/ebitengine/purego"

	"pan123/internal/abi"
)

// tableHead, and the tables after it, lie in memory as those of pan123.h do. A member 0 is not offered.
type tableHead struct {
	structSize, flags  uint32
	release, extension uintptr
}

type sourceTable struct {
	head             tableHead
	readAt, identity uintptr
}

type transportTable struct {
	head            tableHead
	send, interrupt uintptr
}

type tokensTable struct {
	head tableHead
	get  uintptr
}

// event is pan123_event, as it lies in memory.
type event struct {
	structSize, kind                 uint32
	user, seq, bytesDone, bytesTotal uint64
	value                            int64
	code                             int32
	sliceNo                          uint32
	text                             *byte
	textLen                          uintptr
}

// makeTables makes the callbacks, once, because they are never given back.
func (l *library) makeTables() {
	release := purego.NewCallback(func(ctx uintptr) { abi.Release(ctx) })
	l.release = release
	l.source = sourceTable{
		head: tableHead{uint32(unsafe.Sizeof(l.source)), 0, release, 0},
		readAt: purego.NewCallback(func(
			ctx uintptr, offset uint64, buf *byte, length uintptr, outN *uintptr, err *abi.Ptr,
		) int32 {
			n, status, message := abi.ReadAt(ctx, offset, buf, length)
			*outN = uintptr(n)
			return l.answer(status, message, err)
		}),
		identity: purego.NewCallback(func(ctx uintptr, out *abi.Identity, err *abi.Ptr) int32 {
			status, message := abi.Identify(ctx, out)
			return l.answer(status, message, err)
		}),
	}
	l.transport = transportTable{
		head: tableHead{uint32(unsafe.Sizeof(l.transport)), 0, release, 0},
		send: purego.NewCallback(func(ctx uintptr, x abi.Ptr, err *abi.Ptr) int32 {
			status, message := abi.Send(ctx, x)
			return l.answer(status, message, err)
		}),
		interrupt: purego.NewCallback(func(ctx uintptr, x abi.Ptr) { abi.Interrupt(ctx, x) }),
	}
	l.tokens = tokensTable{
		head: tableHead{uint32(unsafe.Sizeof(l.tokens)), 0, release, 0},
		get: purego.NewCallback(func(
			ctx uintptr, refused *byte, refusedLen uintptr, sink abi.Ptr, expires *int64, err *abi.Ptr,
		) int32 {
			token, expiresMS, status, message := abi.GetToken(ctx, copied(refused, refusedLen))
			if status == abi.OK {
				*expires = expiresMS
				data, length := text(token)
				return l.sinkPut(sink, data, length)
			}
			return l.answer(status, message, err)
		}),
	}
}

// answer is what a callback returns; the library owns the error from then on.
func (l *library) answer(status int32, message string, err *abi.Ptr) int32 {
	if status != abi.OK && err != nil {
		data, length := text(message)
		*err = l.errorNew(status, data, length)
	}
	return status
}
