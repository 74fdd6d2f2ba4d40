// Package scenarios has the tests that the package has to pass by either way to the library, cgo or purego: the table of
// bindings/scenarios.json, and what is to be said of lifetimes.
package scenarios

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pan123"
	"pan123/internal/emulator"
)

// within is what a cancel may take.
const within = 250 * time.Millisecond

// Table runs the scenarios that every binding runs, and notes what became of them for the matrix.
func Table(t *testing.T, binding string) {
	for _, scenario := range []struct {
		id  string
		run func(t *testing.T) (what string)
	}{
		{"upload", upload}, {"reuse", reuse}, {"retry", retry}, {"cancel", cancel}, {"resume", resume},
		{"bad-token", badToken}, {"bad-name", badName}, {"missing-file", missingFile}, {"own-source", ownSource},
		{"own-transport", ownTransport}, {"progress", progress}, {"slice-by-slice", sliceBySlice},
	} {
		t.Run(scenario.id, func(t *testing.T) {
			what, result := "", "failed"
			// A deferred function runs after Fatal too.
			defer func() { note(t, binding, scenario.id, result, what) }()
			what = scenario.run(t)
			if !t.Failed() {
				result = "passed"
			}
		})
	}
}

// note appends a line to the file that the matrix is written from.
func note(t *testing.T, binding, scenario, result, what string) {
	path := os.Getenv("PAN123_SCENARIO_RESULTS")
	if path == "" {
		return
	}
	line, err := json.Marshal(struct {
		Binding  string `json:"binding"`
		Scenario string `json:"scenario"`
		Result   string `json:"result"`
		What     string `json:"what"`
	}{binding, scenario, result, what})
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
}

func upload(t *testing.T) string {
	server := emulator.Start(t, "")
	data, path := sample(t, 5)
	result, err := client(t, server, nil).UploadFile(t.Context(), path, 0, "film.mkv")
	check(t, err)
	stored(t, server, "film.mkv", data, result)
	return fmt.Sprintf("%d slices", result.Slices)
}

func reuse(t *testing.T) string {
	server := emulator.Start(t, "")
	data, path := sample(t, 5)
	c := client(t, server, nil)
	_, err := c.UploadFile(t.Context(), path, 0, "first")
	check(t, err)
	before := len(server.Requests("slice"))
	result, err := c.UploadFile(t.Context(), path, 0, "second")
	check(t, err)
	if !result.Reused || !bytes.Equal(server.Stored("second"), data) {
		t.Errorf("the second is %+v", result)
	}
	if after := len(server.Requests("slice")); before != 5 || after != before {
		t.Errorf("%d slices for the first, %d for the second", before, after-before)
	}
	return ""
}

func retry(t *testing.T) string {
	server := emulator.Start(t, `{"behaviour": {"complete_pending": 1},
		"faults": [{"on": "slice", "slice_no": 2, "attempt": "..2", "do": {"status": {"status": 500}}}]}`)
	data, path := sample(t, 5)
	u, err := client(t, server, nil).Start(t.Context(), pan123.File(path), 0, "film.mkv")
	check(t, err)
	retries := 0
	for event := range u.Events() {
		if event.Kind == pan123.EventRetry {
			retries++
			if event.Text == "" || event.Attempt < 1 {
				t.Errorf("a retry without a reason: %+v", event)
			}
		}
	}
	result, err := u.Wait()
	check(t, err)
	if !bytes.Equal(server.Stored("film.mkv"), data) || result.Slices != 5 {
		t.Errorf("stored are other bytes; %+v", result)
	}
	if retries < 2 {
		t.Errorf("%d retries were told", retries)
	}
	if sent := server.Slices()[2]; sent != 3 {
		t.Errorf("slice 2 was sent %d times", sent)
	}
	return fmt.Sprintf("%d retries told", retries)
}

func cancel(t *testing.T) string {
	server := emulator.Start(t, `{"faults": [{"on": "slice", "do": "hang"}]}`)
	_, path := sample(t, 5)
	ctx, cancel := context.WithCancel(t.Context())
	u, err := client(t, server, nil).Start(ctx, pan123.File(path), 0, "film.mkv")
	check(t, err)
	until(t, u, func(event pan123.Event) bool { return event.Kind == pan123.EventProgress && u.Progress().BytesSent > 0 })
	began := time.Now()
	cancel()
	_, err = u.Wait()
	took := time.Since(began)
	if took > within {
		t.Errorf("the cancel took %v", took)
	}
	if !errors.Is(err, pan123.ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if server.Stored("film.mkv") != nil || len(server.Requests("upload_complete")) != 0 {
		t.Error("something was stored")
	}
	return fmt.Sprintf("%d ms", took.Milliseconds())
}

func resume(t *testing.T) string {
	server := emulator.Start(t, `{"faults": [{"on": "slice", "slice_no": "4..", "do": "hang"}]}`)
	data, path := sample(t, 5)
	state := t.TempDir()
	first := client(t, server, func(o *pan123.Options) { o.StateDir = state })
	u, err := first.Start(t.Context(), pan123.File(path), 0, "film.mkv")
	check(t, err)
	until(t, u, func(event pan123.Event) bool {
		return event.Kind == pan123.EventSlice && u.Progress().SlicesDone == 3
	})
	u.Cancel()
	if _, err := u.Wait(); !errors.Is(err, pan123.ErrCancelled) {
		t.Fatalf("the first ended with %v", err)
	}
	check(t, first.Close())
	server.SetFaults("{}")
	second := client(t, server, func(o *pan123.Options) { o.StateDir = state })
	result, err := second.UploadFile(t.Context(), path, 0, "film.mkv")
	check(t, err)
	if !bytes.Equal(server.Stored("film.mkv"), data) || result.Slices != 5 {
		t.Errorf("stored are other bytes; %+v", result)
	}
	for number, times := range server.Slices() {
		if number <= 3 && times != 1 {
			t.Errorf("slice %d was sent %d times", number, times)
		}
	}
	if creates := len(server.Requests("create")); creates != 1 {
		t.Errorf("there were %d creates", creates)
	}
	return ""
}

func badToken(t *testing.T) string {
	server := emulator.Start(t, "")
	_, path := sample(t, 5)
	const wrong = "no-such-token-93f1"
	c := client(t, server, func(o *pan123.Options) { o.AccessToken = wrong })
	_, err := c.UploadFile(t.Context(), path, 0, "film.mkv")
	var e *pan123.Error
	if !errors.Is(err, pan123.ErrLogin) || !errors.As(err, &e) {
		t.Fatalf("the error is %v", err)
	}
	if !strings.Contains(e.Error(), "access_token无效") || e.Advice == "" || e.TraceID == "" {
		t.Errorf("the error says %+v", e)
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", e, e, e), wrong) {
		t.Error("the token is in the error")
	}
	return ""
}

func badName(t *testing.T) string {
	server := emulator.Start(t, "")
	_, path := sample(t, 5)
	_, err := client(t, server, nil).UploadFile(t.Context(), path, 0, "a:b")
	var e *pan123.Error
	if !errors.Is(err, pan123.ErrName) || !errors.As(err, &e) {
		t.Fatalf("the error is %v", err)
	}
	if !strings.Contains(e.Message+e.Advice, "give the file another name") {
		t.Errorf("the error does not say what to do: %+v", e)
	}
	if creates := len(server.Requests("create")); creates != 0 {
		t.Errorf("there were %d creates", creates)
	}
	return ""
}

func missingFile(t *testing.T) string {
	server := emulator.Start(t, "")
	path := filepath.Join(t.TempDir(), "no such file")
	_, err := client(t, server, nil).UploadFile(t.Context(), path, 0, "film.mkv")
	if !errors.Is(err, pan123.ErrSourceIO) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("the error is %v", err)
	}
	if creates := len(server.Requests("create")); creates != 0 {
		t.Errorf("there were %d creates", creates)
	}
	return ""
}

func ownSource(t *testing.T) string {
	server := emulator.Start(t, "")
	data, _ := sample(t, 5)
	source := &counted{Reader: bytes.NewReader(data)}
	result, err := client(t, server, nil).Upload(t.Context(), source, int64(len(data)), 0, "film.mkv")
	check(t, err)
	stored(t, server, "film.mkv", data, result)
	return fmt.Sprintf("%d reads", source.reads.Load())
}

func ownTransport(t *testing.T) string {
	server := emulator.Start(t, "")
	data, path := sample(t, 5)
	through := &ownRoundTripper{next: &http.Transport{}}
	defer through.next.CloseIdleConnections()
	c := client(t, server, func(o *pan123.Options) { o.Transport = through })
	result, err := c.UploadFile(t.Context(), path, 0, "film.mkv")
	check(t, err)
	stored(t, server, "film.mkv", data, result)
	all := server.Requests("")
	for _, request := range all {
		if request.UserAgent != ownUserAgent {
			t.Errorf("a request did not come through the transport: %+v", request)
		}
	}
	if sent := int(through.requests.Load()); sent != len(all) {
		t.Errorf("%d requests were sent, %d arrived", sent, len(all))
	}
	return fmt.Sprintf("%d requests", len(all))
}

func progress(t *testing.T) string {
	// Slow enough for progress to be told on the way.
	server := emulator.Start(t, `{"behaviour": {"total_bytes_per_sec": 16000000}}`)
	data, path := sample(t, 8)
	c := client(t, server, func(o *pan123.Options) { o.ProgressEvery = 10 * time.Millisecond })
	u, err := c.Start(t.Context(), pan123.File(path), 0, "film.mkv")
	check(t, err)
	last, looks, between := pan123.Progress{}, 0, 0
	for range u.Events() {
		now := u.Progress()
		looks++
		if now.BytesHashed < last.BytesHashed || now.BytesSent < last.BytesSent ||
			now.BytesConfirmed < last.BytesConfirmed || now.SlicesDone < last.SlicesDone || now.Stage < last.Stage {
			t.Errorf("%+v came after %+v", now, last)
		}
		if now.BytesConfirmed > now.BytesSent || now.BytesSent > now.BytesTotal {
			t.Errorf("more confirmed than sent: %+v", now)
		}
		if now.BytesSent > 0 && now.BytesSent < now.BytesTotal {
			between++
		}
		last = now
	}
	_, err = u.Wait()
	check(t, err)
	size := int64(len(data))
	want := pan123.Progress{
		Stage: pan123.StageDone, SlicesDone: 8, SlicesTotal: 8, Retries: last.Retries,
		BytesHashed: size, BytesSent: size, BytesConfirmed: size, BytesTotal: size,
	}
	if last != want {
		t.Errorf("it ends at %+v", last)
	}
	if between < 2 {
		t.Errorf("of %d looks %d were on the way", looks, between)
	}
	return fmt.Sprintf("%d looks, %d of them on the way", looks, between)
}

func sliceBySlice(t *testing.T) string {
	server := emulator.Start(t, "")
	data, path := sample(t, 5)
	c := client(t, server, nil)
	source := pan123.File(path)
	digests, err := pan123.Hash(t.Context(), source, pan123.HashOptions{SliceSize: emulator.SliceSize})
	check(t, err)
	created, err := c.Create(t.Context(), 0, "film.mkv", digests.ETag, digests.Size)
	check(t, err)
	if created.Reused || created.SliceSize != emulator.SliceSize || created.SliceCount != 5 || len(created.Servers) == 0 {
		t.Fatalf("created: %+v", created)
	}
	var all sync.WaitGroup
	number := 0
	for part := range slices.Chunk(data, emulator.SliceSize) {
		number++
		slice := pan123.Slice{
			Server: created.Servers[0], PreuploadID: created.PreuploadID, Number: number, MD5: digests.SliceMD5[number-1],
		}
		all.Add(1)
		go func() {
			defer all.Done()
			var err error
			if slice.Number%2 == 0 {
				offset := int64(slice.Number-1) * emulator.SliceSize
				err = c.UploadSliceFrom(t.Context(), slice, source, offset, int64(len(part)))
			} else {
				err = c.UploadSlice(t.Context(), slice, part)
			}
			if err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
	completed, err := c.Complete(t.Context(), created.PreuploadID)
	check(t, err)
	if !completed.Done || completed.FileID == 0 {
		t.Errorf("completed: %+v", completed)
	}
	stored(t, server, "film.mkv", data, pan123.Result{
		FileID: completed.FileID, ETag: digests.ETag, Size: digests.Size, Slices: created.SliceCount,
	})
	return fmt.Sprintf("%d slices", number)
}
