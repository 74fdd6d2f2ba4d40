package abi

import (
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"
)

// What a context of the library stands for: one of these is given to Keep.
type (
	// Source is what read_at and identity ask.
	Source interface {
		ReadAt(p []byte, offset uint64) (n int, status int32, message string)
		Identity(into *Identity) (status int32, message string)
	}
	// Transport is what send and interrupt ask.
	Transport interface {
		Send(x Ptr) (status int32, message string)
		Interrupt(x Ptr)
	}
	// Tokens is what get asks. refused is empty if no token was refused.
	Tokens interface {
		Get(refused string) (token string, expiresUnixMS int64, status int32, message string)
	}
	// Releaser is told when the library has let go.
	Releaser interface{ Release() }
	// Panicker is told of a panic in one of its functions, while the stack is still there, and returns what the error
	// shall say.
	Panicker interface {
		Panicked(where string, value any) (message string)
	}
)

// Contexts are integers, because C may keep no Go pointer. runtime/cgo has the same thing, but only for cgo.
var (
	kept     sync.Map
	keptLast atomic.Uintptr
)

// Keep returns the context that stands for value, until the library releases it.
func Keep(value any) uintptr {
	ctx := keptLast.Add(1)
	kept.Store(ctx, value)
	return ctx
}

// Kept counts the contexts that the library has not released.
func Kept() int {
	count := 0
	kept.Range(func(any, any) bool { count++; return true })
	return count
}

// Release is release of every vtable.
func Release(ctx uintptr) {
	value, _ := kept.LoadAndDelete(ctx)
	if releaser, ok := value.(Releaser); ok {
		releaser.Release()
	}
}

// ReadAt is read_at of a source.
func ReadAt(ctx uintptr, offset uint64, buf *byte, length uintptr) (n int, status int32, message string) {
	defer caught(ctx, "ReadAt", &status, &message)
	return of[Source](ctx).ReadAt(unsafe.Slice(buf, length), offset)
}

// Identify is identity of a source.
func Identify(ctx uintptr, into *Identity) (status int32, message string) {
	defer caught(ctx, "Stat", &status, &message)
	return of[Source](ctx).Identity(into)
}

// Send is send of a transport.
func Send(ctx uintptr, x Ptr) (status int32, message string) {
	defer caught(ctx, "RoundTrip", &status, &message)
	return of[Transport](ctx).Send(x)
}

// Interrupt is interrupt of a transport.
func Interrupt(ctx uintptr, x Ptr) {
	of[Transport](ctx).Interrupt(x)
}

// GetToken is get of a token provider.
func GetToken(ctx uintptr, refused string) (token string, expires int64, status int32, message string) {
	defer caught(ctx, "the token source", &status, &message)
	return of[Tokens](ctx).Get(refused)
}

func of[T any](ctx uintptr) T {
	value, _ := kept.Load(ctx)
	return value.(T)
}

// caught turns a panic into a status: it must not unwind through C.
func caught(ctx uintptr, where string, status *int32, message *string) {
	panicked := recover()
	if panicked == nil {
		return
	}
	*status = E_CALLBACK
	if value, _ := kept.Load(ctx); value != nil {
		*message = value.(Panicker).Panicked(where, panicked)
	} else {
		*message = fmt.Sprintf("%s panicked: %v", where, panicked)
	}
}
