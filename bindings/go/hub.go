package pan123

import (
	"os"
	"sync"
	"sync/atomic"
	"weak"

	"pan123/internal/abi"
)

// hub takes the events of a client's uploads to those uploads. Where the library has a descriptor to poll, its goroutine
// waits in Go's poller and holds no thread.
//
// It knows of no client, so that a client that is dropped can be collected while the hub still waits.
type hub struct {
	lib   library
	queue abi.Ptr
	// Readable while an event waits; nil where there is no such thing.
	file   *os.File
	closed atomic.Bool
	// Closed when the goroutine has ended.
	ended chan struct{}

	mu      sync.Mutex
	last    uint64
	running map[uint64]*Upload
	// Uploads that are paused hold on to the library's client.
	paused map[uint64]weak.Pointer[Upload]
}

func newHub(lib library) (*hub, error) {
	queue, status, e := lib.QueueNew()
	if status != abi.OK {
		return nil, lib.fail(status, e)
	}
	h := &hub{lib: lib, queue: queue, ended: make(chan struct{}), running: map[uint64]*Upload{}, paused: map[uint64]weak.Pointer[Upload]{}}
	if handle, status := lib.QueueHandle(queue); status == abi.OK {
		h.file = pollable(handle)
	}
	go h.run()
	return h, nil
}

// close has the goroutine end. It does not wait.
func (h *hub) close() {
	h.closed.Store(true)
	if h.file != nil {
		_ = h.file.Close()
	}
}

func (h *hub) run() {
	defer close(h.ended)
	defer h.lib.QueueFree(h.queue)
	if h.file == nil {
		// The wait holds a thread. It is short, because it cannot be called off.
		for !h.closed.Load() {
			h.take(100)
		}
	} else if conn, err := h.file.SyscallConn(); err == nil {
		// Ends when the file is closed.
		_ = conn.Read(func(uintptr) bool {
			h.take(0)
			return h.closed.Load()
		})
	}
	h.take(0)
	// Of a closed client there are none left but those that failed to start.
	for _, upload := range h.rest() {
		upload.finish(&abi.Event{Kind: abi.EV_FAILED, User: upload.id})
	}
}

// take passes on all events that wait, and waits for the first.
func (h *hub) take(timeoutMS int64) {
	var ev abi.Event
	for h.lib.QueueNext(h.queue, timeoutMS, &ev) == abi.OK {
		timeoutMS = 0
		isLast := ev.Kind >= abi.EV_COMPLETED
		h.mu.Lock()
		upload := h.running[ev.User]
		if isLast {
			delete(h.running, ev.User)
		}
		h.mu.Unlock()
		switch {
		case upload == nil:
		case isLast:
			upload.finish(&ev)
		default:
			upload.mail.put(newEvent(&ev))
		}
	}
}

// name returns a number for a new upload.
func (h *hub) name() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	return h.last
}

// add has an upload get its events, and holds it until the last one.
func (h *hub) add(upload *Upload) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running[upload.id] = upload
	delete(h.paused, upload.id)
}

// pause remembers an upload that may be resumed.
func (h *hub) pause(upload *Upload) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, other := range h.paused {
		if other.Value() == nil {
			delete(h.paused, id)
		}
	}
	h.paused[upload.id] = weak.Make(upload)
}

// letGo has uploads that are paused let go of the library's client, which was closed.
func (h *hub) letGo() {
	h.mu.Lock()
	paused := h.paused
	h.paused = map[uint64]weak.Pointer[Upload]{}
	h.mu.Unlock()
	for _, upload := range paused {
		if upload := upload.Value(); upload != nil {
			upload.letGo()
		}
	}
}

func (h *hub) remove(upload *Upload) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.running, upload.id)
}

func (h *hub) rest() []*Upload {
	h.mu.Lock()
	defer h.mu.Unlock()
	var rest []*Upload
	for id, upload := range h.running {
		rest = append(rest, upload)
		delete(h.running, id)
	}
	return rest
}
