//go:build unix

package pan123

import (
	"os"
	"syscall"
)

// pollable is a file of our own for the queue's descriptor, which we may not close.
func pollable(handle int64) *os.File {
	syscall.ForkLock.RLock()
	fd, err := syscall.Dup(int(handle))
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(fd), "pan123 events")
}
