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
	tasks, err := filepath.Glob("/proc/self/task/*/comm")
	check(t, err)
	for _, task := range tasks {
		// A thread may end between the two.
		name, err := os.ReadFile(task)
		if err == nil && strings.HasPrefix(string(name), "pan123-") {
			now.threads = append(now.threads, strings.TrimSpace(string(name)))
		}
	}
	files, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	now.files = len(files)
	return now
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
