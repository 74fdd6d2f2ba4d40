package pan123

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"pan123/internal/abi"
)

// Result is what became of an upload.
type Result struct {
	// FileID is the file at the service.
	FileID int64
	// ETag is the MD5 of the whole, 32 hex digits in lower case.
	ETag string
	// Size in bytes.
	Size int64
	// Slices is how many there were; 0 if the file went out whole in one request, as small ones may, or was Reused.
	Slices int
	// Reused says that the service had the bytes already, and none were sent.
	Reused bool
	// BytesSent are file bytes handed to connections, those sent again included.
	BytesSent int64
	// Elapsed is the time from start to end.
	Elapsed time.Duration
}

// Progress is how far an upload is. No figure falls while it runs.
type Progress struct {
	// Stage is the furthest that was reached.
	Stage Stage
	// SlicesDone are acknowledged; SlicesTotal is 0 before the service has named a slice size.
	SlicesDone, SlicesTotal int
	// Retries are requests that were sent again.
	Retries int
	// BytesHashed are bytes whose digests are known.
	BytesHashed int64
	// BytesSent are bytes that connections have taken; those sent again count once.
	BytesSent int64
	// BytesConfirmed are bytes of slices that the service has acknowledged.
	BytesConfirmed int64
	// BytesTotal is the size.
	BytesTotal int64
}

// Upload sends size bytes of r to the folder parentID, 0 is the root, under name, and returns when the service has stored
// them. When ctx is done it returns within 250 ms; the same upload, started again, goes on from there if there is
// Options.StateDir and a WithResumeKey. The service takes no empty files: 0 bytes are ErrInvalidArgument.
func (c *Client) Upload(
	ctx context.Context, r io.ReaderAt, size int64, parentID int64, name string, options ...UploadOption,
) (Result, error) {
	return c.run(ctx, ReaderAt(r, size), parentID, name, options)
}

// UploadFile sends a file on disk, as Upload does.
func (c *Client) UploadFile(
	ctx context.Context, path string, parentID int64, name string, options ...UploadOption,
) (Result, error) {
	return c.run(ctx, File(path), parentID, name, options)
}

func (c *Client) run(
	ctx context.Context, source Source, parentID int64, name string, options []UploadOption,
) (Result, error) {
	if err := c.ready(); err != nil {
		return Result{}, err
	}
	if err := c.lib.mayWait(); err != nil {
		return Result{}, err
	}
	u, err := c.Start(ctx, source, parentID, name, options...)
	if err != nil {
		return Result{}, err
	}
	return u.Wait()
}

// Upload is one upload that was started. It need not be waited for: one that is dropped goes on to its end. Once it is
// over it holds no file and no memory of its source.
type Upload struct {
	client *Client
	// Let go of when the upload is over; what is asked for then is below.
	handle *handle
	id     uint64
	mail   mailbox
	// By the program, and not by its context or Close.
	isCancelled atomic.Bool

	mu     sync.Mutex
	reader *readerHost
	run    *run
	last   Progress
	state  []byte
}

// run is the time from a start to a last event.
type run struct {
	ctx     context.Context
	unwatch func() bool
	isOver  bool
	done    chan struct{}
	result  Result
	err     error
}

// Start begins the upload of source to the folder parentID, 0 is the root, under name, and returns at once. When ctx is
// done the upload is cancelled.
func (c *Client) Start(
	ctx context.Context, source Source, parentID int64, name string, options ...UploadOption,
) (*Upload, error) {
	return c.begin(ctx, source, options, func(p, s, o abi.Ptr, id uint64) (abi.Ptr, int32, abi.Ptr) {
		return c.lib.UploadNew(p, s, parentID, name, o, id)
	})
}

// Import begins an upload that goes on where another one stopped, perhaps in another process. state is what Export
// returned, and says where the file goes; source must be the same in the same state: if it is not, the upload starts
// over, or fails with ErrSourceChanged if the size is another.
func (c *Client) Import(ctx context.Context, source Source, state []byte, options ...UploadOption) (*Upload, error) {
	return c.begin(ctx, source, options, func(p, s, o abi.Ptr, id uint64) (abi.Ptr, int32, abi.Ptr) {
		return c.lib.UploadImport(p, s, state, o, id)
	})
}

func (c *Client) begin(
	ctx context.Context, source Source, options []UploadOption,
	make func(p, s, o abi.Ptr, id uint64) (abi.Ptr, int32, abi.Ptr),
) (*Upload, error) {
	if err := usable(ctx); err != nil {
		return nil, err
	}
	client, err := c.use()
	if err != nil {
		return nil, err
	}
	defer c.done()
	settings, err := newSettings(c.lib, options)
	if err != nil {
		return nil, err
	}
	defer settings.free()
	s, reader, err := source.opened(c.lib)
	if err != nil {
		return nil, err
	}
	defer c.lib.SourceFree(s)
	u := &Upload{client: c, id: c.hub.name(), reader: reader}
	u.mail.arrived.L = &u.mail.mu
	p, status, e := make(client, s, settings.p, u.id)
	if status != abi.OK {
		return nil, c.lib.fail(status, e)
	}
	u.handle = &handle{p: p, free: c.lib.UploadFree}
	runtime.AddCleanup(u, (*handle).letGo, u.handle)
	if err := u.Resume(ctx); err != nil {
		u.handle.letGo()
		return nil, err
	}
	return u, nil
}

// Resume has an upload that was paused go on where it was, under a context of its own. It fails with ErrWrongState if the
// upload runs or is over.
func (u *Upload) Resume(ctx context.Context) error {
	if err := usable(ctx); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	before := u.run
	if before != nil && !before.isOver {
		return &Error{Code: ErrWrongState, Message: "the upload is running already"}
	}
	p := u.handle.use()
	if p == nil {
		return u.overFor(before)
	}
	defer u.handle.done()
	this := &run{ctx: ctx, done: make(chan struct{})}
	u.run = this
	u.client.hub.add(u)
	u.mail.open(true)
	this.unwatch = context.AfterFunc(ctx, func() { u.cancel(this) })
	status, e := u.client.lib.UploadStart(p)
	if status == abi.OK {
		return nil
	}
	this.unwatch()
	u.mail.open(false)
	u.client.hub.remove(u)
	u.run = before
	return because(ctx, u.client.lib.fail(status, e))
}

// overFor says why an upload cannot be resumed any more.
func (u *Upload) overFor(before *run) error {
	switch {
	case codeOf(before.err) == ErrPaused:
		return &Error{Code: ErrShutdown, Message: "the client was closed"}
	case codeOf(before.err) == ErrCancelled:
		return &Error{Code: ErrCancelled, Message: "the upload was cancelled; make a new one"}
	}
	return &Error{Code: ErrWrongState, Message: "the upload is over; make a new one"}
}

// Cancel ends the upload within 250 ms. It may be called at any time and any number of times; afterwards the upload
// cannot be resumed, but a new one of the same source to the same place goes on from there if there is
// Options.StateDir.
func (u *Upload) Cancel() {
	u.isCancelled.Store(true)
	u.stop()
}

func (u *Upload) stop() {
	if p := u.handle.use(); p != nil {
		defer u.handle.done()
		u.client.lib.UploadCancel(p)
	}
}

// cancel ends one run, and not one that came after it.
func (u *Upload) cancel(of *run) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.run == of && !of.isOver {
		u.stop()
	}
}

// Pause ends the upload within 250 ms, for Resume to go on. It does nothing to one that does not run.
func (u *Upload) Pause() {
	if p := u.handle.use(); p != nil {
		defer u.handle.done()
		u.client.lib.UploadPause(p)
	}
}

// Done is closed when the upload is over, or paused. After Resume there is another one.
func (u *Upload) Done() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.run.done
}

// Wait waits until the upload is over, or paused, and says how it went. It may be called often, and by several
// goroutines. In a callback it does not wait, and fails with ErrWouldDeadlock.
func (u *Upload) Wait() (Result, error) {
	u.mu.Lock()
	run := u.run
	u.mu.Unlock()
	select {
	case <-run.done:
	default:
		if err := u.client.lib.mayWait(); err != nil {
			return Result{}, err
		}
		<-run.done
	}
	return run.result, run.err
}

// Progress says how far the upload is.
func (u *Upload) Progress() Progress {
	if p := u.handle.use(); p != nil {
		defer u.handle.done()
		return u.progress(p)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last
}

func (u *Upload) progress(of abi.Ptr) Progress {
	var p abi.Progress
	u.client.lib.UploadProgress(of, &p)
	return Progress{
		Stage: Stage(p.State), SlicesDone: int(p.SlicesDone), SlicesTotal: int(p.SlicesTotal), Retries: int(p.Retries),
		BytesHashed: int64(p.BytesHashed), BytesSent: int64(p.BytesSent), BytesConfirmed: int64(p.BytesConfirmed),
		BytesTotal: int64(p.BytesTotal),
	}
}

// Export takes the state of the upload, at any time, for Import. It holds no secrets. It fails with ErrWrongState if
// there is nothing yet to go on from, or nothing any more.
func (u *Upload) Export() ([]byte, error) {
	if p := u.handle.use(); p != nil {
		defer u.handle.done()
		return u.export(p)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.state == nil {
		return nil, &Error{Code: ErrWrongState, Message: "there is nothing to go on from"}
	}
	return bytes.Clone(u.state), nil
}

func (u *Upload) export(of abi.Ptr) ([]byte, error) {
	lib := u.client.lib
	r, status, e := lib.UploadExport(of)
	if status != abi.OK {
		return nil, lib.fail(status, e)
	}
	defer lib.ResultFree(r)
	state, _ := lib.ResultStr(r, abi.F_STATE, 0)
	return []byte(state), nil
}

// letGo frees the library's upload, and with it the source, and keeps what may be asked for afterwards.
func (u *Upload) letGo() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.letGoLocked()
}

func (u *Upload) letGoLocked() {
	p := u.handle.use()
	if p == nil {
		return
	}
	u.last = u.progress(p)
	u.state, _ = u.export(p)
	u.reader = nil
	u.handle.letGo()
	u.handle.done()
}

// finish notes how a run went, after its last event.
func (u *Upload) finish(ev *abi.Event) {
	u.mu.Lock()
	defer u.mu.Unlock()
	lib, run := u.client.lib, u.run
	run.unwatch()
	p := u.handle.use()
	defer u.handle.done()
	r, status, e := lib.UploadWait(p, 0)
	if status == abi.OK {
		run.result = Result{
			FileID: lib.ResultI64(r, abi.F_FILE_ID, 0), Size: lib.ResultI64(r, abi.F_SIZE, 0),
			Slices: int(lib.ResultI64(r, abi.F_SLICE_COUNT, 0)), Reused: lib.ResultI64(r, abi.F_REUSED, 0) != 0,
			BytesSent: lib.ResultI64(r, abi.F_BYTES_SENT, 0),
			Elapsed:   time.Duration(lib.ResultI64(r, abi.F_ELAPSED_MS, 0)) * time.Millisecond,
		}
		run.result.ETag, _ = lib.ResultStr(r, abi.F_ETAG, 0)
		lib.ResultFree(r)
	} else {
		err := lib.newError(status, e)
		if err.Code == ErrCancelled && u.client.isClosing.Load() && !u.isCancelled.Load() && run.ctx.Err() == nil {
			err.Message += ": the client was closed"
			err.causes = append(err.causes, ErrShutdown)
		}
		run.err = u.client.explain(because(run.ctx, err))
		if u.reader != nil {
			run.err = u.reader.explain(run.err)
		}
	}
	run.isOver = true
	if ev.Kind == abi.EV_PAUSED {
		u.client.hub.pause(u)
	} else {
		u.letGoLocked()
	}
	last := newEvent(ev)
	last.Err = run.err
	u.mail.put(last)
	close(run.done)
}
