package scenarios

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"pan123/internal/abi"
)

// left is what a process has of ours.
type left struct {
	goroutines, contexts, files int
	threads                     []string
}

func count(t testing.TB) left {
	t.Helper()
	now := left{goroutines: runtime.NumGoroutine(), contexts: abi.Kept()}
	if runtime.GOOS != "linux" {
		return now
	}
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	check(t, err)
	for _, task := range tasks {
		// A thread may end between the two.
		status, err := os.ReadFile(task)
		if err == nil && ofLibrary(string(status)) {
			now.threads = append(now.threads, strings.Fields(string(status))[1])
		}
	}
	files, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	now.files = len(files)
	return now
}

// ofLibrary tells the library's threads, which have all signals blocked, from those that Go starts while one of them
// calls it: these keep the name of the thread that they were started from.
func ofLibrary(status string) bool {
	return strings.HasPrefix(status, "Name:\tpan123-") && !strings.Contains(status, "\nSigBlk:\t0000000000000000\n")
}

// settles waits until there is no more than before. What only the garbage collector ends has no end to wait for, so it
// collects until then.
func settles(t testing.TB, before left) {
	t.Helper()
	var now left
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		runtime.GC()
		now = count(t)
		if now.goroutines <= before.goroutines && now.contexts <= before.contexts && now.files <= before.files &&
			len(now.threads) <= len(before.threads) {
			return
		}
	}
	stacks := make([]byte, 1<<16)
	t.Errorf("before %+v, after %+v\n%s", before, now, stacks[:runtime.Stack(stacks, true)])
}
