package pan123

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"pan123/internal/abi"
)

// Client is one account of the service, with its limits and connections. Make one, and use it for all uploads, from any
// number of goroutines.
type Client struct {
	lib    library
	handle *handle
	hub    *hub
	// Ends what the callbacks of the client were given as their context.
	cancelCallbacks  context.CancelFunc
	callbackFailures []*failures
	// Close cancels what is under way.
	isClosing atomic.Bool
}

// closeWithin is how long Close waits for callbacks. They are told to stop, so it is for those that do not listen.
const closeWithin = 5 * time.Second

// NewClient makes a client. It sends nothing yet. Close it when it is no longer needed; a client that is dropped while
// nothing is under way is closed by the garbage collector.
func NewClient(options Options) (*Client, error) {
	lib, err := loaded()
	if err != nil {
		return nil, err
	}
	settings, err := newSettings(lib, nil)
	if err != nil {
		return nil, err
	}
	defer settings.free()
	if options.set(settings); settings.err != nil {
		return nil, settings.err
	}
	callbacks, cancel := context.WithCancel(context.Background())
	c := &Client{lib: lib, cancelCallbacks: cancel}
	if err := c.make(settings, options, callbacks); err != nil {
		cancel()
		return nil, err
	}
	type parts struct {
		handle *handle
		hub    *hub
		cancel context.CancelFunc
	}
	runtime.AddCleanup(c, func(of parts) {
		of.cancel()
		of.hub.close()
		of.handle.letGo()
	}, parts{c.handle, c.hub, cancel})
	return c, nil
}

func (c *Client) make(settings *settings, options Options, callbacks context.Context) error {
	lib := c.lib
	var tokens, transport abi.Ptr
	var status int32
	var e abi.Ptr
	if options.Tokens != nil {
		host := &tokenHost{ctx: callbacks, get: options.Tokens}
		if tokens, status, e = lib.TokensNew(abi.Keep(host)); status != abi.OK {
			return lib.fail(status, e)
		}
		defer lib.TokensFree(tokens)
		c.callbackFailures = append(c.callbackFailures, &host.failures)
	}
	if options.Transport != nil {
		host := &transportHost{lib: lib, ctx: callbacks, next: options.Transport}
		if transport, status, e = lib.TransportNew(abi.Keep(host)); status != abi.OK {
			return lib.fail(status, e)
		}
		defer lib.TransportFree(transport)
		c.callbackFailures = append(c.callbackFailures, &host.failures)
	}
	hub, err := newHub(lib)
	if err != nil {
		return err
	}
	p, status, e := lib.ClientNew(settings.p, tokens, transport, hub.queue)
	if status != abi.OK {
		hub.close()
		return lib.fail(status, e)
	}
	c.hub, c.handle = hub, &handle{p: p, free: lib.ClientFree}
	return nil
}

// Close ends the client: it cancels what is under way, waits until the library runs nothing for it any more, and ends
// its threads and closes its connections. What was under way, and all that is begun with the client from then on, fails
// with ErrShutdown; an upload that was under way with ErrCancelled too, and its Wait, Progress and Export still answer.
// Closing again does nothing.
//
// It fails with ErrTimeout if a callback, for example a ReadAt, has not returned for five seconds; its uploads are over
// all the same, and closing again waits for it again. It fails with ErrWouldDeadlock in a callback.
func (c *Client) Close() error {
	if err := c.ready(); err != nil {
		return err
	}
	if err := c.lib.mayWait(); err != nil {
		return err
	}
	c.isClosing.Store(true)
	// Cancels all before the callbacks fail for want of a context, so that nothing fails with their errors.
	err := c.shutdown(true, 0)
	c.cancelCallbacks()
	if codeOf(err) == ErrTimeout {
		err = c.shutdown(true, closeWithin)
	}
	return c.end(err)
}

// Shutdown ends the client as Close does, but lets what is under way come to its end first. When ctx is done before, it
// cancels the rest, and returns what Close would return or, if that is nothing, why ctx is done.
func (c *Client) Shutdown(ctx context.Context) error {
	if err := c.ready(); err != nil {
		return err
	}
	if ctx == nil {
		return misuse("the context is nil; use context.Background() if there is none")
	}
	// Each wait is short, because it holds a thread and cannot be called off.
	const step = 50 * time.Millisecond
	for ctx.Err() == nil {
		if err := c.shutdown(false, step); codeOf(err) != ErrTimeout {
			return c.end(err)
		}
	}
	if err := c.Close(); err != nil {
		return err
	}
	return because(ctx, &Error{Code: ErrCancelled, Message: "what was under way was cancelled"})
}

func (c *Client) shutdown(cancel bool, within time.Duration) error {
	p := c.handle.use()
	if p == nil {
		return nil
	}
	defer c.handle.done()
	status, e := c.lib.ClientShutdown(p, cancel, within.Milliseconds())
	return c.lib.fail(status, e)
}

func (c *Client) end(err error) error {
	if code := codeOf(err); code == ErrWouldDeadlock || code == ErrForked {
		return err
	}
	c.cancelCallbacks()
	c.hub.close()
	<-c.hub.ended
	if err == nil {
		c.hub.letGo()
		c.handle.letGo()
	}
	runtime.KeepAlive(c)
	return err
}

// ready says whether the client can be used at all.
func (c *Client) ready() error {
	if c == nil || c.handle == nil {
		return misuse("the client was not made with NewClient")
	}
	return nil
}

// use returns the library's client for one call, which done ends.
func (c *Client) use() (abi.Ptr, error) {
	if err := c.ready(); err != nil {
		return nil, err
	}
	if p := c.handle.use(); p != nil {
		return p, nil
	}
	return nil, &Error{Code: ErrShutdown, Message: "the client was closed"}
}

func (c *Client) done() {
	c.handle.done()
	// Until here, because callbacks that are under way lose their context with it.
	runtime.KeepAlive(c)
}

// explain adds to an error what the client's own callbacks returned, if it came of that.
func (c *Client) explain(err error) error {
	for _, failures := range c.callbackFailures {
		err = failures.explain(err)
	}
	return err
}

func codeOf(err error) Code {
	if e, ok := err.(*Error); ok {
		return e.Code
	}
	return abi.OK
}
