package scenarios

import (
	"syscall"
	"testing"
	"unsafe"

	"pan123/internal/emulator"
)

// action is the kernel's struct sigaction.
type action struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

func actions(t *testing.T) (all [65]action) {
	t.Helper()
	for signal := uintptr(1); signal <= 64; signal++ {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, signal, 0,
			uintptr(unsafe.Pointer(&all[signal])), unsafe.Sizeof(all[signal].mask), 0, 0)
		if errno != 0 {
			t.Fatalf("signal %d: %v", signal, errno)
		}
	}
	return all
}

// signalHandlers: a library that took a signal from Go would have the program die of it.
func signalHandlers(t *testing.T) {
	before := actions(t)
	server := emulator.Start(t, "")
	_, path := sample(t, 2)
	c := client(t, server, nil)
	_, err := c.UploadFile(t.Context(), path, 0, "film.mkv")
	check(t, err)
	check(t, c.Close())
	const onStack = 0x08000000
	for signal, after := range actions(t) {
		if after != before[signal] {
			t.Errorf("signal %d: before %+v, after %+v", signal, before[signal], after)
		}
		if after.handler > 1 && after.flags&onStack == 0 {
			t.Errorf("signal %d has a handler that does not run on its own stack", signal)
		}
	}
}
