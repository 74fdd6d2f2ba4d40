package pan123

import (
	"context"
	"runtime"
	"time"

	"pan123/internal/abi"
)

// Client is one account of the service, with its limits and connections. Make one, and use it for all uploads, from any
// number of goroutines.
type Client struct {
	lib library
	p   abi.Ptr
	hub *hub
	// Ends what the callbacks of the client were given as their context.
	cancelCallbacks context.CancelFunc
	callbackErrors  []*lastError
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
		lib    library
		p      abi.Ptr
		hub    *hub
		cancel context.CancelFunc
	}
	runtime.AddCleanup(c, func(of parts) {
		of.cancel()
		of.hub.close()
		of.lib.ClientFree(of.p)
	}, parts{lib, c.p, c.hub, cancel})
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
		c.callbackErrors = append(c.callbackErrors, &host.lastError)
	}
	if options.Transport != nil {
		host := &transportHost{lib: lib, ctx: callbacks, next: options.Transport}
		if transport, status, e = lib.TransportNew(abi.Keep(host)); status != abi.OK {
			return lib.fail(status, e)
		}
		defer lib.TransportFree(transport)
		c.callbackErrors = append(c.callbackErrors, &host.lastError)
	}
	hub, err := newHub(lib)
	if err != nil {
		return err
	}
	if c.p, status, e = lib.ClientNew(settings.p, tokens, transport, hub.queue); status != abi.OK {
		hub.close()
		return lib.fail(status, e)
	}
	c.hub = hub
	return nil
}

// Close ends the client: it cancels what is under way, waits until the library runs nothing for it any more, and ends
// its threads. Everything that was made with it answers ErrShutdown from then on. Closing again does nothing.
//
// It fails with ErrTimeout if a callback, for example a ReadAt, has not returned for five seconds; its uploads are over
// all the same. It fails with ErrWouldDeadlock in a callback.
func (c *Client) Close() error {
	if err := c.ready(); err != nil {
		return err
	}
	c.cancelCallbacks()
	return c.end(c.shutdown(true, closeWithin))
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
	status, e := c.lib.ClientShutdown(c.ptr(), cancel, within.Milliseconds())
	runtime.KeepAlive(c)
	return c.lib.fail(status, e)
}

func (c *Client) end(err error) error {
	if code := codeOf(err); code == ErrWouldDeadlock || code == ErrForked {
		return err
	}
	c.cancelCallbacks()
	c.hub.close()
	<-c.hub.ended
	return err
}

// ready says whether the client can be used at all.
func (c *Client) ready() error {
	if c == nil || c.p == nil {
		return misuse("the client was not made with NewClient")
	}
	return nil
}

// ptr is the library's client, for one call, after which c must be kept alive.
func (c *Client) ptr() abi.Ptr {
	stress()
	return c.p
}

// explain adds to an error what the client's own callbacks returned, if it speaks of that.
func (c *Client) explain(err error) error {
	for _, last := range c.callbackErrors {
		err = last.explain(err)
	}
	return err
}

func codeOf(err error) Code {
	if e, ok := err.(*Error); ok {
		return e.Code
	}
	return abi.OK
}
