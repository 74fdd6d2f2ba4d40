package pan123

import (
	"context"
	"fmt"
	"sync"

	"pan123/internal/abi"
)

// library is libpan123 with what every call of it needs.
type library struct{ abi.Lib }

// loaded finds the library once, and checks that it fits.
var loaded = sync.OnceValues(func() (library, error) {
	lib := abi.Linked
	if lib == nil && abi.Load == nil {
		return library{}, &Error{Code: ErrNotSupported, Message: `this program was built without cgo and without a ` +
			`way to load libpan123: build it with CGO_ENABLED=1, or import _ "pan123/nocgo"`}
	}
	if lib == nil {
		var err error
		if lib, err = abi.Load(); err != nil {
			return library{}, &Error{Code: ErrABI, Message: err.Error()}
		}
	}
	if lib.ABICheck(abi.ABI_VERSION) != abi.OK {
		return library{}, &Error{Code: ErrABI, Message: fmt.Sprintf("the libpan123 on this machine is version %s, "+
			"and this program needs %d.%d with %d additions or more: install that version of libpan123",
			lib.Version(), abi.ABI_VERSION>>24, abi.ABI_VERSION>>16&0xff, abi.ABI_VERSION&0xffff)}
	}
	return library{lib}, nil
})

// Version is the version of libpan123, for example "0.1.0". The error says what to do if the library is missing, or too
// old or too new for this package; every other call that needs the library returns the same error then.
func Version() (string, error) {
	lib, err := loaded()
	if err != nil {
		return "", err
	}
	return lib.Version(), nil
}

// fail makes an error of a status and an error object, which it frees; nil if the status is OK.
func (lib library) fail(status int32, e abi.Ptr) error {
	if status == abi.OK {
		return nil
	}
	return lib.newError(status, e)
}

// stoppable makes a call that waits, and ends it early when ctx is done.
func (lib library) stoppable(ctx context.Context, call func(stop abi.Ptr) (int32, abi.Ptr)) error {
	if err := usable(ctx); err != nil {
		return err
	}
	if ctx.Done() == nil {
		return lib.fail(call(nil))
	}
	stop, status, e := lib.StopNew()
	if status != abi.OK {
		return lib.fail(status, e)
	}
	defer lib.StopFree(stop)
	fired := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		lib.StopFire(stop)
		close(fired)
	})
	status, e = call(stop)
	if !unwatch() {
		<-fired
	}
	return because(ctx, lib.fail(status, e))
}

// mayWait says whether a call may wait here: not in a callback, whose return the library may be waiting for itself. It
// asks a call that would wait, but has nothing to do.
func (lib library) mayWait() error {
	_, status, e := lib.Hash(nil, 0, 0, nil)
	return lib.fail(status, e)
}

// usable says whether a call may begin under ctx.
func usable(ctx context.Context) error {
	if ctx == nil {
		return misuse("the context is nil; use context.Background() if there is none")
	}
	if ctx.Err() != nil {
		return because(ctx, &Error{Code: ErrCancelled, Message: "cancelled before it began"})
	}
	return nil
}

// because adds to an error of a cancelled call why ctx was cancelled.
func because(ctx context.Context, err error) error {
	if e, ok := err.(*Error); ok && e.Code == ErrCancelled && ctx.Err() != nil {
		e.causes = append(e.causes, ctx.Err(), context.Cause(ctx))
	}
	return err
}
