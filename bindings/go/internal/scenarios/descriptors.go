package scenarios

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"pan123"
	"pan123/internal/emulator"
)

// descriptors does without the garbage collector: in a program with a large heap it comes late.
func descriptors(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("looks into /proc")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	server := emulator.Start(t, `{"faults": [{"on": "slice", "slice_no": "2..", "do": "hang"}]}`)
	_, path := sample(t, 5)
	dir := t.TempDir()
	small := func(i int) string { return filepath.Join(dir, fmt.Sprint(i)) }
	const files = 400
	for i := range files {
		check(t, os.WriteFile(small(i), []byte(fmt.Sprint("file ", i)), 0o600))
	}
	before := descriptorsTo("")

	options := pan123.Options{BaseURL: server.URL, AccessToken: emulator.Token, VIPRates: true, SlicesInFlight: 8}
	c, err := pan123.NewClient(options)
	check(t, err)
	var uploads []*pan123.Upload
	for i := range files {
		u, err := c.Start(t.Context(), pan123.File(small(i)), 0, fmt.Sprint(i))
		check(t, err)
		uploads = append(uploads, u)
		// 128 stay open; a file that is just being read is opened before another one is closed for it.
		if open := descriptorsTo(dir); open > 128+32 {
			t.Fatalf("%d files are open, when %d uploads were started", open, i+1)
		}
	}
	for _, u := range uploads {
		_, err := u.Wait()
		check(t, err)
	}
	falls(t, "after the last upload", func() int { return descriptorsTo(dir) }, 0)
	if p := uploads[0].Progress(); p.Stage != pan123.StageDone || p.BytesSent != p.BytesTotal || p.BytesTotal != 6 {
		t.Errorf("progress of one that is over: %+v", p)
	}

	// One that is paused goes on with its file, until the client is closed.
	paused, err := c.Start(t.Context(), pan123.File(path), 0, "paused")
	check(t, err)
	until(t, paused, func(event pan123.Event) bool { return event.Kind == pan123.EventSlice })
	paused.Pause()
	<-paused.Done()
	if descriptorsTo(path) != 1 {
		t.Error("the file of a paused upload is not open")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cancelled, err := c.Start(ctx, pan123.File(path), 0, "cancelled")
	check(t, err)
	until(t, cancelled, func(event pan123.Event) bool { return event.Kind == pan123.EventSlice })
	cancel()
	<-cancelled.Done()
	check(t, c.Close())
	falls(t, "after Close", func() int { return descriptorsTo("") }, before)
	for name, u := range map[string]*pan123.Upload{"paused": paused, "cancelled": cancelled} {
		if state, err := u.Export(); err != nil || !bytes.Contains(state, []byte(name)) || u.Progress().SlicesDone != 1 {
			t.Errorf("%s: %v %+v", name, err, u.Progress())
		}
		if err := u.Resume(t.Context()); err == nil {
			t.Errorf("%s: resumed with a closed client", name)
		}
	}
	runtime.KeepAlive(c)
}

// descriptorsTo counts those of this process to a file, or to files in a folder; "" for all.
func descriptorsTo(path string) (count int) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		if link, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && strings.HasPrefix(link, path) {
			count++
		}
	}
	return count
}

// falls waits until there are no more than that: the library closes its own a moment after it has said that it is done.
func falls(t *testing.T, when string, count func() int, want int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); count() > want; {
		if time.Now().After(deadline) {
			t.Fatalf("%s %d descriptors are open, not %d", when, count(), want)
		}
		runtime.Gosched()
	}
}

// oddPath is of a file whose name is bytes, but no UTF-8.
func oddPath(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system may have no such names")
	}
	server := emulator.Start(t, "")
	path := filepath.Join(t.TempDir(), "caf\xe9")
	check(t, os.WriteFile(path, []byte("coffee"), 0o600))
	_, err := client(t, server, nil).UploadFile(t.Context(), path, 0, "menu")
	check(t, err)
	if string(server.Stored("menu")) != "coffee" {
		t.Error("stored are other bytes")
	}
}
