package pan123

import (
	"fmt"
	"time"

	"pan123/internal/abi"
)

// Code says what kind of error it is. Each is an error of its own, so that
//
//	errors.Is(err, pan123.ErrRateLimited)
//
// asks whether err, or anything that it wraps, is of that kind. Codes stand in bands, for programs that are older than a
// code: below 20 misuse, 20 stopped as asked, 30 code of yours, 100 this machine, 200 the network, 300 the service
// failed, 400 the service refused, 900 a defect of the library.
type Code int32

// The codes.
const (
	// A parameter is not acceptable. Nothing was done.
	ErrInvalidArgument Code = abi.E_INVALID_ARGUMENT
	// libpan123 is missing, or does not fit this package.
	ErrABI Code = abi.E_ABI
	// The library is older than what it was asked for.
	ErrUnknownNumber Code = abi.E_UNKNOWN_NUMBER
	// Not now: for example Resume of an upload that runs.
	ErrWrongState Code = abi.E_WRONG_STATE
	// A call that waits was made by a callback, for example Close or Upload by a TokenFunc.
	ErrWouldDeadlock Code = abi.E_WOULD_DEADLOCK
	// The process was forked by something other than package os/exec.
	ErrForked Code = abi.E_FORKED
	// This build or this system does not have it.
	ErrNotSupported Code = abi.E_NOT_SUPPORTED
	// The time given to a wait is over.
	ErrTimeout Code = abi.E_TIMEOUT
	// Cancelled as asked. If a context did it, errors.Is(err, context.Canceled) or context.DeadlineExceeded holds too; if
	// Close did it, ErrShutdown does.
	ErrCancelled Code = abi.E_CANCELLED
	// Paused as asked.
	ErrPaused Code = abi.E_PAUSED
	// The client was closed.
	ErrShutdown Code = abi.E_SHUTDOWN
	// Code of yours panicked (see PanicError), or answered with something impossible.
	ErrCallback Code = abi.E_CALLBACK
	// A plugin cannot be loaded, or failed to open.
	ErrPlugin Code = abi.E_PLUGIN
	// The source cannot be opened or read. errors.Is(err, fs.ErrNotExist) says whether there is no such file.
	ErrSourceIO Code = abi.E_SOURCE_IO
	// The source is no longer what it was when the upload began.
	ErrSourceChanged Code = abi.E_SOURCE_CHANGED
	// A ReadAt did not return within Options.SourceTimeout.
	ErrSourceStalled Code = abi.E_SOURCE_STALLED
	// Resume state or the token cache cannot be read, written or locked.
	ErrStore Code = abi.E_STORE
	// No connection, or it kept breaking.
	ErrNetwork Code = abi.E_NETWORK
	// The server's certificate or the TLS handshake is not accepted.
	ErrTLS Code = abi.E_TLS
	// Nothing moved, or no answer came, for too long.
	ErrNetTimeout Code = abi.E_NET_TIMEOUT
	// The uplink cannot pass one slice before the gateway drops it.
	ErrSlowUplink Code = abi.E_SLOW_UPLINK
	// The service kept failing on its side.
	ErrServer Code = abi.E_SERVER
	// The answer is not what the service's protocol promises.
	ErrProtocol Code = abi.E_PROTOCOL
	// The service does not let us in: token, client id or secret.
	ErrLogin Code = abi.E_LOGIN
	// Too many requests, even after slowing down.
	ErrRateLimited Code = abi.E_RATE_LIMITED
	// The file's name breaks the service's rules.
	ErrName Code = abi.E_NAME
	// The service holds other bytes than were announced.
	ErrVerifyFailed Code = abi.E_VERIFY_FAILED
	// The service refuses for a reason of its own: folder, conflict, space. Read its message.
	ErrRefused Code = abi.E_REFUSED
	// A defect of the library. Please report it.
	ErrInternal Code = abi.E_INTERNAL
	// A panic inside the library was caught. Please report it.
	ErrPanic Code = abi.E_PANIC
)

var codeTexts = map[Code]string{
	ErrInvalidArgument: "invalid argument", ErrABI: "libpan123 does not fit", ErrUnknownNumber: "unknown to libpan123",
	ErrWrongState: "wrong state", ErrWouldDeadlock: "would deadlock", ErrForked: "forked", ErrNotSupported: "not supported",
	ErrTimeout: "time is over", ErrCancelled: "cancelled", ErrPaused: "paused", ErrShutdown: "client closed",
	ErrCallback: "callback failed", ErrPlugin: "plugin failed", ErrSourceIO: "source cannot be read",
	ErrSourceChanged: "source changed", ErrSourceStalled: "source stalled", ErrStore: "resume state failed",
	ErrNetwork: "network failed", ErrTLS: "TLS failed", ErrNetTimeout: "network timed out", ErrSlowUplink: "uplink too slow",
	ErrServer: "service failed", ErrProtocol: "answer not understood", ErrLogin: "login refused",
	ErrRateLimited: "rate limited", ErrName: "name not allowed", ErrVerifyFailed: "service holds other bytes",
	ErrRefused: "refused by the service", ErrInternal: "defect of libpan123", ErrPanic: "panic in libpan123",
}

// Error is a few words, for example "pan123: rate limited".
func (c Code) Error() string {
	if text, ok := codeTexts[c]; ok {
		return "pan123: " + text
	}
	return fmt.Sprintf("pan123: error code %d", int32(c))
}

// Error is every error that this package returns. Get at it with errors.As. It holds no secrets.
type Error struct {
	// Code is the kind of error.
	Code Code
	// Message is what failed, with step, tries, codes and trace id, on one line.
	Message string
	// Step is the step that failed, for example "create" or "open source".
	Step string
	// APIMessage is the service's own words, or what happened instead of an answer.
	APIMessage string
	// TraceID is the service's name for the request; its support asks for it.
	TraceID string
	// Advice is what to do about it, a sentence, or empty.
	Advice string
	// Class is what the failed request means, finer than Code, for example "no_parent".
	Class string
	// HTTPStatus is the HTTP status of the answer, or 0.
	HTTPStatus int
	// APICode is the service's own code, or 0.
	APICode int64
	// Attempts is how often the step was tried, from 1, or 0.
	Attempts int
	// Slice is the slice that it was about, from 1, or 0.
	Slice int
	// RetryAfter is how long the service asks to wait, or 0.
	RetryAfter time.Duration
	// Retryable says that the same call may well succeed later, with nothing changed.
	Retryable bool
	// Resumable says that starting the same upload again goes on from here.
	Resumable bool

	causes []error
	// What it came of, if that was code of yours.
	failures []uint64
}

// Error is "pan123: " and the message.
func (e *Error) Error() string { return "pan123: " + e.Message }

// Is says whether target is the error's Code.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// Unwrap returns what is behind the error on the Go side: why the context was cancelled, what your own source, token
// source or transport returned, a *PanicError if it panicked, or ErrShutdown.
func (e *Error) Unwrap() []error { return e.causes }

// newError reads an error object of the library, and frees it.
func (lib library) newError(status int32, e abi.Ptr) *Error {
	if e == nil {
		return &Error{Code: Code(status), Message: codeTexts[Code(status)]}
	}
	defer lib.ErrorFree(e)
	number := func(field uint32) int64 { return lib.ErrorI64(e, field, 0) }
	message := lib.ErrorStr(e, abi.F_MESSAGE)
	return &Error{
		Code: Code(status), Message: unmarked(message), failures: marksIn(message), Step: lib.ErrorStr(e, abi.F_STEP),
		APIMessage: unmarked(lib.ErrorStr(e, abi.F_API_MESSAGE)), TraceID: lib.ErrorStr(e, abi.F_TRACE_ID),
		Advice: lib.ErrorStr(e, abi.F_ADVICE), Class: lib.ErrorStr(e, abi.F_CLASS),
		HTTPStatus: int(number(abi.F_HTTP_STATUS)), APICode: number(abi.F_API_CODE),
		Attempts: int(number(abi.F_ATTEMPTS)), Slice: int(number(abi.F_SLICE_NO)),
		RetryAfter: time.Duration(number(abi.F_RETRY_AFTER_MS)) * time.Millisecond,
		Retryable:  number(abi.F_RETRYABLE) != 0, Resumable: number(abi.F_RESUMABLE) != 0,
	}
}

// misuse is an error of the caller's that the library does not get to see.
func misuse(format string, args ...any) error {
	return &Error{Code: ErrInvalidArgument, Message: fmt.Sprintf(format, args...)}
}
