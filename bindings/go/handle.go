package pan123

import (
	"sync"

	"pan123/internal/abi"
)

// handle holds an object of the library. The object is freed as soon as it was let go of and no call uses it.
type handle struct {
	free func(abi.Ptr)

	mu     sync.Mutex
	p      abi.Ptr
	users  int
	isGone bool
}

// use returns the object for one call, which done ends; nil if it was let go of.
func (h *handle) use() abi.Ptr {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isGone {
		return nil
	}
	stress()
	h.users++
	return h.p
}

func (h *handle) done() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.users--
	h.freeIfUnused()
}

// letGo may be called often.
func (h *handle) letGo() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.isGone = true
	h.freeIfUnused()
}

func (h *handle) freeIfUnused() {
	if h.isGone && h.users == 0 && h.p != nil {
		h.free(h.p)
		h.p = nil
	}
}
