package pan123

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"pan123/internal/abi"
)

// answerMax is the longest answer that the library takes; the service's are far shorter.
const answerMax = 1 << 20

// transportHost is an http.RoundTripper as the library sees it.
type transportHost struct {
	lib  library
	ctx  context.Context
	next http.RoundTripper
	failures

	open sync.Map // abi.Ptr of an exchange to the context.CancelFunc of its request
}

// Interrupt may cross with the end of Send.
func (h *transportHost) Interrupt(x abi.Ptr) {
	if cancel, ok := h.open.Load(x); ok {
		cancel.(context.CancelFunc)()
	}
}

func (h *transportHost) Send(x abi.Ptr) (int32, string) {
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	h.open.Store(x, cancel)
	defer h.open.Delete(x)
	body := &exchangeBody{lib: h.lib, x: x}
	// A RoundTripper may read the body after it has returned, but not after the exchange is no longer ours.
	defer body.end()
	if err := h.exchange(ctx, x, body); err != nil {
		return int32(codeOfTransport(err)), h.keep(err)
	}
	return abi.OK, ""
}

func (h *transportHost) exchange(ctx context.Context, x abi.Ptr, body *exchangeBody) error {
	request, err := http.NewRequestWithContext(ctx, h.lib.HTTPStr(x, abi.F_METHOD), h.lib.HTTPStr(x, abi.F_URL), nil)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		name, value, ok := h.lib.HTTPHeader(x, false, i)
		if !ok {
			break
		}
		if !strings.EqualFold(name, "Content-Length") && !strings.EqualFold(name, "Host") {
			request.Header.Add(name, value)
		}
	}
	if length := h.lib.HTTPI64(x, abi.F_BODY_LEN, 0); length > 0 {
		request.ContentLength = length
		request.GetBody = func() (io.ReadCloser, error) { return &exchangeReader{body: body}, nil }
		request.Body, _ = request.GetBody()
	}
	response, err := h.next.RoundTrip(request)
	if err != nil {
		return err
	}
	if response == nil {
		return fmt.Errorf("the RoundTripper returned neither a response nor an error (%w)", ErrCallback)
	}
	if response.Body == nil {
		return fmt.Errorf("the RoundTripper returned a response without a Body; it is http.NoBody if it is empty (%w)", ErrCallback)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(&patientReader{next: response.Body}, answerMax+1))
	if err != nil {
		return err
	}
	if len(answer) > answerMax {
		return fmt.Errorf("the answer is longer than %d bytes (%w)", answerMax, ErrProtocol)
	}
	if status := h.lib.HTTPAnswer(x, response.StatusCode, answer); status != abi.OK {
		return fmt.Errorf("the answer has HTTP status %d (%w)", response.StatusCode, ErrProtocol)
	}
	for name, values := range response.Header {
		// One that cannot stand in a header is one that the library has no use for.
		_ = h.lib.HTTPSetHeader(x, true, name, strings.Join(values, ", "))
	}
	return nil
}

// patientReader gives up a reader that returns nothing, and no error, again and again.
type patientReader struct {
	next io.Reader
	idle int
}

func (r *patientReader) Read(p []byte) (int, error) {
	n, err := r.next.Read(p)
	if n > 0 || err != nil {
		r.idle = 0
		return n, err
	}
	if r.idle++; r.idle == readsMax {
		return 0, io.ErrNoProgress
	}
	return 0, nil
}

// codeOfTransport is what the library makes of an error of a RoundTripper.
func codeOfTransport(err error) Code {
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	if errors.As(err, &certificate) || errors.As(err, &authority) || errors.As(err, &host) ||
		errors.As(err, &invalid) || errors.As(err, &record) || errors.As(err, &alert) {
		return ErrTLS
	}
	return codeOfCallback(err, ErrNetwork)
}

// exchangeBody is the body of a request, as long as it is lent.
type exchangeBody struct {
	lib library
	// Held for reading while the library is asked, and for writing to end it.
	mu      sync.RWMutex
	isEnded bool
	x       abi.Ptr
}

var errBodyEnded = errors.New("the request is over")

func (b *exchangeBody) readAt(p []byte, offset int64) (int, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.isEnded {
		return 0, errBodyEnded
	}
	n, status, e := b.lib.HTTPReadBody(b.x, uint64(offset), p)
	return n, b.lib.fail(status, e)
}

func (b *exchangeBody) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.isEnded = true
}

// exchangeReader reads it from its start.
type exchangeReader struct {
	body   *exchangeBody
	mu     sync.Mutex
	offset int64
	closed bool
}

func (r *exchangeReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, errBodyEnded
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := r.body.readAt(p, r.offset)
	r.offset += int64(n)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

func (r *exchangeReader) Close() error {
	// Not while a Read is under way: Close must not wait for one that is stuck.
	if r.mu.TryLock() {
		r.closed = true
		r.mu.Unlock()
	}
	return nil
}
