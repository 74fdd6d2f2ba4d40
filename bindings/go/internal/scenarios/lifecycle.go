package scenarios

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pan123"
	"pan123/internal/emulator"
)

// Lifecycle runs what is to be said of beginnings and ends.
func Lifecycle(t *testing.T) {
	t.Run("nothing stays behind", nothingStaysBehind)
	t.Run("signal handlers", signalHandlers)
	t.Run("dropped handles", droppedHandles)
	t.Run("cancel storm", cancelStorm)
	t.Run("a reader that never returns", stuckReader)
	t.Run("many at once", manyAtOnce)
	t.Run("pause, resume, export, import", pauseAndResume)
	t.Run("close", closing)
	t.Run("shutdown", shuttingDown)
	t.Run("bytes stay in their place", pinnedBytes)
	t.Run("descriptors", descriptors)
	t.Run("paths that are no text", oddPath)
}

func nothingStaysBehind(t *testing.T) {
	server := emulator.Start(t, `{"faults": [{"on": "slice", "slice_no": 2, "attempt": 1, "do": "reset"}]}`)
	data, path := sample(t, 5)
	once := func(name string) {
		c, err := pan123.NewClient(pan123.Options{
			BaseURL: server.URL, VIPRates: true,
			Tokens: func(context.Context, string) (pan123.Token, error) { return pan123.Token{Value: emulator.Token}, nil },
		})
		check(t, err)
		_, err = c.UploadFile(t.Context(), path, 0, name+" file")
		check(t, err)
		_, err = c.Upload(t.Context(), bytes.NewReader(data), int64(len(data)), 0, name+" reader")
		check(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		u, err := c.Start(ctx, pan123.Bytes(data[1:]), 0, name+" cancelled")
		check(t, err)
		cancel()
		if _, err := u.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if _, err := c.UploadFile(t.Context(), "no such file", 0, "x"); err == nil {
			t.Error("no error")
		}
		if _, err := c.UploadFile(t.Context(), path, 0, "a:b"); err == nil {
			t.Error("no error")
		}
		check(t, c.Close())
	}
	once("first")
	before := count(t)
	before.contexts, before.threads = 0, nil
	for i := range 10 {
		once(fmt.Sprint(i))
	}
	for range 10 {
		// Its threads end by themselves, after it.
		_, err := pan123.Hash(t.Context(), pan123.ReaderAt(bytes.NewReader(data), int64(len(data))), pan123.HashOptions{})
		check(t, err)
	}
	settles(t, before)
}

func droppedHandles(t *testing.T) {
	server := emulator.Start(t, "")
	before := count(t)
	data, _ := sample(t, 2)
	options := pan123.Options{BaseURL: server.URL, AccessToken: emulator.Token}
	reader := &gated{Reader: bytes.NewReader(data), entered: make(chan struct{}, 100), gate: make(chan struct{})}
	ended := make(chan error, 1)
	func() {
		// Never used, never closed.
		_, err := pan123.NewClient(options)
		check(t, err)
		c, err := pan123.NewClient(options)
		check(t, err)
		// Goes on to its end although nobody holds it.
		u, err := c.Start(t.Context(), pan123.ReaderAt(reader, int64(len(data))), 0, "dropped")
		check(t, err)
		done := u.Done()
		go func() { <-done; ended <- nil }()
	}()
	<-reader.entered
	for range 5 {
		runtime.GC()
	}
	close(reader.gate)
	<-ended
	if !bytes.Equal(server.Stored("dropped"), data) {
		t.Error("stored are other bytes")
	}
	settles(t, before)
}

// gated reads once its gate is open.
type gated struct {
	*bytes.Reader
	entered, gate chan struct{}
}

func (g *gated) ReadAt(p []byte, offset int64) (int, error) {
	select {
	case g.entered <- struct{}{}:
	default:
	}
	<-g.gate
	return g.Reader.ReadAt(p, offset)
}

func cancelStorm(t *testing.T) {
	server := emulator.Start(t, `{"behaviour": {"reuse": false}, "faults": [{"on": "slice", "slice_no": "2..", "do": "hang"},
		{"on": "single_create", "do": "hang"}]}`)
	data, path := sample(t, 5)
	before := count(t)
	c, err := pan123.NewClient(pan123.Options{BaseURL: server.URL, AccessToken: emulator.Token, VIPRates: true})
	check(t, err)
	var slowest atomic.Int64
	sources := []pan123.Source{
		pan123.File(path), pan123.Bytes(data), pan123.ReaderAt(bytes.NewReader(data), int64(len(data))),
	}
	random := rand.New(rand.NewPCG(5, 7))
	for range 5 {
		var all sync.WaitGroup
		for i := range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			u, err := c.Start(ctx, sources[i%3], 0, fmt.Sprint("film ", i))
			check(t, err)
			stage := pan123.Stage(random.IntN(4)) // New: at once
			all.Add(2)
			go func() {
				defer all.Done()
				// In some stage of its own, by some way of its own, and twice.
				for event := range u.Events() {
					if event.Kind != pan123.EventStage || event.Stage >= stage {
						break
					}
				}
				began := time.Now()
				if i%2 == 0 {
					u.Cancel()
				}
				cancel()
				u.Cancel()
				<-u.Done()
				for took := int64(time.Since(began)); ; {
					if most := slowest.Load(); took <= most || slowest.CompareAndSwap(most, took) {
						break
					}
				}
			}()
			go func() {
				defer all.Done()
				_, err := u.Wait()
				var e *pan123.Error
				if !errors.Is(err, pan123.ErrCancelled) || !errors.As(err, &e) {
					t.Errorf("it ended with %v", err)
				}
			}()
		}
		all.Wait()
	}
	check(t, c.Close())
	settles(t, before)
	t.Logf("the slowest of %d cancels took %v", 5*20, time.Duration(slowest.Load()))
}

func stuckReader(t *testing.T) {
	server := emulator.Start(t, "")
	before := count(t)
	data, _ := sample(t, 2)
	c, err := pan123.NewClient(pan123.Options{BaseURL: server.URL, AccessToken: emulator.Token})
	check(t, err)
	reader := &stuck{entered: make(chan struct{}, 100), release: make(chan struct{})}
	for name, call := range map[string]func(context.Context) error{
		"upload": func(ctx context.Context) error {
			_, err := c.Upload(ctx, reader, int64(len(data)), 0, "film.mkv")
			return err
		},
		"hash": func(ctx context.Context) error {
			_, err := pan123.Hash(ctx, pan123.ReaderAt(reader, int64(len(data))), pan123.HashOptions{})
			return err
		},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		go func() { ended <- call(ctx) }()
		<-reader.entered
		why, began := errors.New("the user left"), time.Now()
		cancel(why)
		err := <-ended
		if took := time.Since(began); took > within {
			t.Errorf("%s: the cancel took %v", name, took)
		}
		if !errors.Is(err, pan123.ErrCancelled) || !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
	close(reader.release)
	check(t, c.Close())
	settles(t, before)
}

// stuck does not return from ReadAt before it is released.
type stuck struct{ entered, release chan struct{} }

func (s *stuck) ReadAt([]byte, int64) (int, error) {
	s.entered <- struct{}{}
	<-s.release
	return 0, io.ErrUnexpectedEOF
}

func manyAtOnce(t *testing.T) {
	server := emulator.Start(t, "")
	c := client(t, server, nil)
	const uploads = 60
	var all sync.WaitGroup
	for i := range uploads {
		data := make([]byte, 100_000+i)
		_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(data)
		name := fmt.Sprint("film ", i)
		all.Add(1)
		go func() {
			defer all.Done()
			if _, err := c.Upload(t.Context(), bytes.NewReader(data), int64(len(data)), 0, name); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(server.Stored(name), data) {
				t.Errorf("%s: stored are other bytes", name)
			}
		}()
	}
	all.Wait()
}

func pauseAndResume(t *testing.T) {
	const faults = `{"faults": [{"on": "slice", "slice_no": "3..", "do": "hang"}]}`
	server := emulator.Start(t, faults)
	data, path := sample(t, 5)
	c := client(t, server, nil)
	u, err := c.Start(t.Context(), pan123.File(path), 0, "film.mkv")
	check(t, err)
	two := func(event pan123.Event) bool { return event.Kind == pan123.EventSlice && u.Progress().SlicesDone == 2 }
	until(t, u, two)
	if err := u.Resume(t.Context()); !errors.Is(err, pan123.ErrWrongState) {
		t.Errorf("Resume of one that runs: %v", err)
	}
	u.Pause()
	var kind pan123.EventKind
	for event := range u.Events() {
		kind = event.Kind
	}
	if _, err := u.Wait(); !errors.Is(err, pan123.ErrPaused) || kind != pan123.EventPaused {
		t.Fatalf("paused: %v, last event %v", err, kind)
	}
	state, err := u.Export()
	check(t, err)

	// The same upload goes on, and is then cancelled for good.
	ctx, cancel := context.WithCancel(t.Context())
	check(t, u.Resume(ctx))
	cancel()
	if _, err := u.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := u.Resume(t.Context()); !errors.Is(err, pan123.ErrCancelled) {
		t.Errorf("Resume of one that was cancelled: %v", err)
	}
	for range u.Events() { // What is left; it ends by itself.
	}

	// Another client goes on from the state.
	server.SetFaults("{}")
	other, err := client(t, server, nil).Import(t.Context(), pan123.File(path), state)
	check(t, err)
	result, err := other.Wait()
	check(t, err)
	if !bytes.Equal(server.Stored("film.mkv"), data) || result.Slices != 5 {
		t.Errorf("stored are other bytes; %+v", result)
	}
	if sent := server.Slices(); sent[1] != 1 || sent[2] != 1 || len(server.Requests("create")) != 1 {
		t.Errorf("slices sent: %v", sent)
	}
	if _, err := other.Export(); !errors.Is(err, pan123.ErrWrongState) {
		t.Errorf("Export of one that is over: %v", err)
	}
	if _, err := c.Import(t.Context(), pan123.File(path), []byte("no state")); !errors.Is(err, pan123.ErrInvalidArgument) {
		t.Errorf("Import of no state: %v", err)
	}
}

func closing(t *testing.T) {
	server := emulator.Start(t, `{"faults": [{"on": "slice", "do": "hang"}, {"on": "single_create", "do": "hang"}]}`)
	_, path := sample(t, 5)
	told := make(chan struct{})
	c, err := pan123.NewClient(pan123.Options{
		BaseURL: server.URL,
		Tokens: func(ctx context.Context, _ string) (pan123.Token, error) {
			context.AfterFunc(ctx, sync.OnceFunc(func() { told <- struct{}{} }))
			return pan123.Token{Value: emulator.Token}, nil
		},
	})
	check(t, err)
	u, err := c.Start(t.Context(), pan123.File(path), 0, "film.mkv")
	check(t, err)
	until(t, u, func(event pan123.Event) bool {
		return event.Kind == pan123.EventStage && event.Stage == pan123.StageSending
	})
	check(t, c.Close())
	<-told
	if _, err := u.Wait(); !errors.Is(err, pan123.ErrCancelled) || !errors.Is(err, pan123.ErrShutdown) {
		t.Errorf("the upload ended with %v", err)
	}
	check(t, c.Close())
	_, err = c.UploadFile(t.Context(), path, 0, "film.mkv")
	if !errors.Is(err, pan123.ErrShutdown) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := c.Domain(t.Context()); !errors.Is(err, pan123.ErrShutdown) {
		t.Errorf("after Close: %v", err)
	}
	u.Cancel()
	u.Pause()
	_ = u.Progress()
	if err := u.Resume(t.Context()); err == nil {
		t.Error("an upload of a closed client was resumed")
	}
}

func shuttingDown(t *testing.T) {
	server := emulator.Start(t, "")
	data, path := sample(t, 5)
	c := client(t, server, nil)
	u, err := c.Start(t.Context(), pan123.File(path), 0, "film.mkv")
	check(t, err)
	check(t, c.Shutdown(t.Context()))
	if _, err := u.Wait(); err != nil || !bytes.Equal(server.Stored("film.mkv"), data) {
		t.Errorf("the upload ended with %v", err)
	}
	server.SetFaults(`{"behaviour": {"reuse": false}, "faults": [{"on": "slice", "do": "hang"}, {"on": "single_create", "do": "hang"}]}`)
	c = client(t, server, nil)
	u, err = c.Start(t.Context(), pan123.File(path), 0, "second")
	check(t, err)
	until(t, u, func(event pan123.Event) bool {
		return event.Kind == pan123.EventStage && event.Stage == pan123.StageSending
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown: %v", err)
	}
	if _, err := u.Wait(); err == nil {
		t.Error("the upload did not end")
	}
}

func pinnedBytes(t *testing.T) {
	server := emulator.Start(t, "")
	c := client(t, server, nil)
	want, _ := sample(t, 5)
	u, err := c.Start(t.Context(), pan123.Bytes(bytes.Clone(want)), 0, "film.mkv")
	check(t, err)
	for running := true; running; {
		runtime.GC()
		_ = make([]byte, len(want))
		select {
		case <-u.Done():
			running = false
		default:
		}
	}
	_, err = u.Wait()
	check(t, err)
	if !bytes.Equal(server.Stored("film.mkv"), want) {
		t.Error("stored are other bytes")
	}
}
