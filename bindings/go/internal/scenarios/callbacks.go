package scenarios

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"pan123"
	"pan123/internal/emulator"
)

// Callbacks runs what is to be said of code of the program's that the library calls.
func Callbacks(t *testing.T) {
	t.Run("errors of a reader", readerErrors)
	t.Run("a file that changes", changingFile)
	t.Run("token source", tokenSource)
	t.Run("errors of a token source", tokenErrors)
	t.Run("errors of a transport", transportErrors)
	t.Run("requests of a transport", transportRequests)
	t.Run("a transport is interrupted", transportInterrupted)
	t.Run("waiting in a callback", waitingInCallback)
	t.Run("slow source", slowSource)
	t.Run("panics", panics)
	t.Run("errors are found whatever they say", errorsAreFound)
	t.Run("each upload has its own error", ownErrors)
}

// readerFunc is a reader of one function.
type readerFunc func(p []byte, offset int64) (int, error)

func (f readerFunc) ReadAt(p []byte, offset int64) (int, error) { return f(p, offset) }

var errMine = errors.New("the archive is damaged")

func readerErrors(t *testing.T) {
	server := emulator.Start(t, "")
	c := client(t, server, nil)
	for _, of := range []struct {
		name   string
		reader readerFunc
		code   pan123.Code
		text   string
	}{
		{"an error", func([]byte, int64) (int, error) { return 0, errMine }, pan123.ErrSourceIO, errMine.Error()},
		{"a panic", func([]byte, int64) (int, error) { panic("out of cheese") }, pan123.ErrCallback, "out of cheese"},
		{"too much", func(p []byte, _ int64) (int, error) { return len(p) + 1, nil }, pan123.ErrCallback, "ReadAt returned"},
		{"nothing", func([]byte, int64) (int, error) { return 0, nil }, pan123.ErrSourceIO, io.ErrNoProgress.Error()},
		{"too little", func(p []byte, _ int64) (int, error) { return len(p) / 2, io.EOF }, pan123.ErrSourceChanged, ""},
	} {
		_, err := c.Upload(t.Context(), of.reader, 5<<20, 0, of.name)
		// What a reader does wrong is a source that cannot be read, to an upload.
		if !errors.Is(err, of.code) && !errors.Is(err, pan123.ErrSourceIO) {
			t.Errorf("%s: the upload's error is %v", of.name, err)
		}
		if err == nil || !strings.Contains(err.Error(), of.text) || errors.Is(err, errMine) != (of.text == errMine.Error()) {
			t.Errorf("%s: the upload's error is %v", of.name, err)
		}
		_, err = pan123.Hash(t.Context(), pan123.ReaderAt(of.reader, 5<<20), pan123.HashOptions{})
		if err == nil || !strings.Contains(err.Error(), of.text) || errors.Is(err, errMine) != (of.text == errMine.Error()) {
			t.Errorf("%s: the digest's error is %v", of.name, err)
		}
	}
	if creates := len(server.Requests("create")); creates != 0 {
		t.Errorf("there were %d creates", creates)
	}
}

func changingFile(t *testing.T) {
	server := emulator.Start(t, "")
	_, path := sample(t, 5)
	file, err := os.Open(path)
	check(t, err)
	defer file.Close()
	var once sync.Once
	reader := &changing{File: file, change: func() {
		once.Do(func() {
			if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
				t.Error(err)
			}
		})
	}}
	_, err = client(t, server, nil).Upload(t.Context(), reader, 5<<20-7, 0, "film.mkv")
	if !errors.Is(err, pan123.ErrSourceChanged) || server.Stored("film.mkv") != nil {
		t.Errorf("the error is %v", err)
	}
}

// changing is a file that changes while it is read.
type changing struct {
	*os.File
	change func()
}

func (c *changing) ReadAt(p []byte, offset int64) (int, error) {
	c.change()
	return c.File.ReadAt(p, offset)
}

func tokenSource(t *testing.T) {
	server := emulator.Start(t, "")
	data, path := sample(t, 5)
	var mu sync.Mutex
	var asked []string
	expires := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	c := client(t, server, func(o *pan123.Options) {
		o.AccessToken = ""
		o.Tokens = func(_ context.Context, refused string) (pan123.Token, error) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, refused)
			if len(asked) == 1 {
				return pan123.Token{Value: "an-old-token"}, nil
			}
			return pan123.Token{Value: emulator.Token, Expires: expires}, nil
		}
	})
	result, err := c.UploadFile(t.Context(), path, 0, "film.mkv")
	check(t, err)
	stored(t, server, "film.mkv", data, result)
	mu.Lock()
	if asked[0] != "" || asked[1] != "an-old-token" {
		t.Errorf("asked with %q", asked[:2])
	}
	mu.Unlock()
	token, err := c.Token(t.Context())
	if err != nil || token.Value != emulator.Token || !token.Expires.Equal(expires) {
		t.Errorf("the token is %v (%v)", token.Expires, err)
	}
}

func tokenErrors(t *testing.T) {
	server := emulator.Start(t, "")
	_, path := sample(t, 5)
	for _, of := range []struct {
		name string
		give func() (pan123.Token, error)
		code pan123.Code
		text string
	}{
		{"an error", func() (pan123.Token, error) { return pan123.Token{}, errMine }, pan123.ErrLogin, errMine.Error()},
		{"a code", func() (pan123.Token, error) {
			return pan123.Token{}, fmt.Errorf("%w: %w", errMine, pan123.ErrRefused)
		}, pan123.ErrLogin, errMine.Error()},
		{"a panic", func() (pan123.Token, error) { panic("out of cheese") }, pan123.ErrCallback, "out of cheese"},
		{"nothing", func() (pan123.Token, error) { return pan123.Token{}, nil }, pan123.ErrLogin, ""},
	} {
		c := client(t, server, func(o *pan123.Options) {
			o.AccessToken = ""
			o.Tokens = func(context.Context, string) (pan123.Token, error) { return of.give() }
		})
		_, err := c.UploadFile(t.Context(), path, 0, "film.mkv")
		t.Logf("%s: %v", of.name, err)
		if err == nil || !strings.Contains(err.Error(), of.text) || errors.Is(err, errMine) != (of.text == errMine.Error()) {
			t.Errorf("%s: the error is %v", of.name, err)
		}
		if of.name == "an error" && !errors.Is(err, of.code) {
			t.Errorf("%s: the error is %v", of.name, err)
		}
	}
}

// roundTripFunc is a transport of one function.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func transportErrors(t *testing.T) {
	server := emulator.Start(t, "")
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	distrustful := &http.Transport{TLSClientConfig: &tls.Config{}}
	defer distrustful.CloseIdleConnections()
	for _, of := range []struct {
		name string
		next roundTripFunc
		code pan123.Code
		text string
	}{
		{"an error", func(*http.Request) (*http.Response, error) { return nil, errMine }, pan123.ErrNetwork, errMine.Error()},
		{"a certificate", func(request *http.Request) (*http.Response, error) {
			request = request.Clone(request.Context())
			request.URL.Scheme, request.URL.Host = "https", strings.TrimPrefix(secure.URL, "https://")
			return distrustful.RoundTrip(request)
		}, pan123.ErrTLS, "certificate"},
		{"a panic", func(*http.Request) (*http.Response, error) { panic("out of cheese") }, 0, "out of cheese"},
		{"a long answer", func(*http.Request) (*http.Response, error) {
			body := io.NopCloser(io.LimitReader(forever{}, 2<<20))
			return &http.Response{StatusCode: 200, Body: body}, nil
		}, pan123.ErrProtocol, "longer than"},
		{"a body without progress", func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(nothing{})}, nil
		}, pan123.ErrNetwork, io.ErrNoProgress.Error()},
		{"no answer", func(*http.Request) (*http.Response, error) { return nil, nil }, pan123.ErrCallback, "neither a response nor an error"},
		{"no body", func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200}, nil
		}, pan123.ErrCallback, "without a Body"},
		{"an odd answer", func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 900, Body: http.NoBody}, nil
		}, pan123.ErrProtocol, "900"},
	} {
		// By a call that is not repeated; an upload would try for a while.
		_, err := client(t, server, func(o *pan123.Options) { o.Transport = of.next }).Domain(t.Context())
		t.Logf("%s: %v", of.name, err)
		if err == nil || !strings.Contains(err.Error(), of.text) || errors.Is(err, errMine) != (of.text == errMine.Error()) {
			t.Errorf("%s: the error is %v", of.name, err)
		}
		if of.code != 0 && !errors.Is(err, of.code) {
			t.Errorf("%s: the error is %v", of.name, err)
		}
	}
}

func errorsAreFound(t *testing.T) {
	server := emulator.Start(t, "")
	for name, text := range map[string]string{
		"plain": "the archive is damaged", "empty": "", "lines": "one\ntwo\r\n", "tab": "one\ttwo", "nul": "one\x00two",
		"escape": "\x1b[31mred\x1b[0m", "bytes": "caf\xe9", "spaces": "  padded  ", "long": strings.Repeat("long ", 200000),
		"bearer": "Authorization: Bearer abcdefghijk", "token": "failed with " + emulator.Token,
	} {
		mine := errors.New(text)
		check := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, mine) {
				t.Errorf("%s of %s: the error is %.200q", name, what, fmt.Sprint(err))
			} else if text := err.Error(); strings.ContainsAny(text, "<\n\x00\x1b") {
				t.Errorf("%s of %s: the error's text is %.200q", name, what, text)
			}
		}
		torn := readerFunc(func([]byte, int64) (int, error) { return 0, mine })
		c := client(t, server, nil)
		_, err := c.Upload(t.Context(), torn, 100, 0, "a")
		check("upload", err)
		_, err = pan123.Hash(t.Context(), pan123.ReaderAt(torn, 100), pan123.HashOptions{})
		check("hash", err)
		c = client(t, server, func(o *pan123.Options) {
			o.Transport = roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, mine })
		})
		_, err = c.Domain(t.Context())
		check("transport", err)
		for _, code := range []error{nil, pan123.ErrNetwork, pan123.ErrStore} {
			given := error(mine)
			if code != nil {
				given = fmt.Errorf("%w %w", mine, code)
			}
			c = client(t, server, func(o *pan123.Options) {
				o.AccessToken = ""
				o.RetryFor = -1
				o.Tokens = func(_ context.Context, refused string) (pan123.Token, error) {
					if refused == "" {
						return pan123.Token{Value: "not-a-token"}, nil
					}
					return pan123.Token{}, given
				}
			})
			_, err = c.Domain(t.Context())
			check("token", err)
			_, err = c.Upload(t.Context(), strings.NewReader("abc"), 3, 0, "a")
			check("token of an upload", err)
			if name == "plain" && !strings.Contains(err.Error(), text) {
				t.Errorf("no other token: the error is %v", err)
			}
		}
	}
}

// ownErrors fails uploads with errors that say the same.
func ownErrors(t *testing.T) {
	server := emulator.Start(t, "")
	c := client(t, server, nil)
	var all sync.WaitGroup
	all.Add(4)
	var uploads []*pan123.Upload
	var mine []error
	for i := range 4 {
		mine = append(mine, errors.New("the same"))
		upload, err := c.Start(t.Context(), pan123.ReaderAt(readerFunc(func([]byte, int64) (int, error) {
			all.Done()
			all.Wait()
			return 0, mine[i]
		}), 100), 0, fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		uploads = append(uploads, upload)
	}
	for i, upload := range uploads {
		for event := range upload.Events() {
			if strings.Contains(event.Text, "<") {
				t.Errorf("an event says %q", event.Text)
			}
		}
		if _, err := upload.Wait(); !errors.Is(err, mine[i]) {
			t.Errorf("upload %d: the error is %v", i, err)
		}
	}
}

// forever is a body without end.
type forever struct{}

func (forever) Read(p []byte) (int, error) { return len(p), nil }

// nothing is a body that never has anything, and never ends.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

func transportRequests(t *testing.T) {
	server := emulator.Start(t, "")
	data, path := sample(t, 5)
	next := &http.Transport{}
	defer next.CloseIdleConnections()
	var mu sync.Mutex
	var late []io.ReadCloser
	c := client(t, server, func(o *pan123.Options) {
		o.Transport = roundTripFunc(func(request *http.Request) (*http.Response, error) {
			if request.Header.Get("Authorization") == "" || request.Header.Get("Host") != "" {
				t.Errorf("the headers are %v", request.Header)
			}
			if request.GetBody != nil {
				// What a repetition would read is the same.
				first, err := request.GetBody()
				if err != nil {
					return nil, err
				}
				one, err := io.ReadAll(first)
				if err != nil || int64(len(one)) != request.ContentLength {
					t.Errorf("a body of %d bytes has %d (%v)", request.ContentLength, len(one), err)
				}
				second, err := request.GetBody()
				if err != nil {
					return nil, err
				}
				mu.Lock()
				late = append(late, second)
				mu.Unlock()
			}
			return next.RoundTrip(request)
		})
	})
	result, err := c.UploadFile(t.Context(), path, 0, "film.mkv")
	check(t, err)
	stored(t, server, "film.mkv", data, result)
	mu.Lock()
	defer mu.Unlock()
	for _, body := range late {
		if n, err := body.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
			t.Errorf("a body was read after its request: %d %v", n, err)
		}
	}
	if len(late) == 0 {
		t.Error("there was no body")
	}
}

func transportInterrupted(t *testing.T) {
	server := emulator.Start(t, "")
	_, path := sample(t, 5)
	entered, left := make(chan struct{}, 100), make(chan error, 100)
	c := client(t, server, func(o *pan123.Options) {
		o.Transport = roundTripFunc(func(request *http.Request) (*http.Response, error) {
			entered <- struct{}{}
			<-request.Context().Done()
			left <- request.Context().Err()
			return nil, request.Context().Err()
		})
	})
	ctx, cancel := context.WithCancel(t.Context())
	u, err := c.Start(ctx, pan123.File(path), 0, "film.mkv")
	check(t, err)
	<-entered
	began := time.Now()
	cancel()
	if _, err := u.Wait(); !errors.Is(err, context.Canceled) || time.Since(began) > within {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	// Its context ended too, so that the transport let go.
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func waitingInCallback(t *testing.T) {
	server := emulator.Start(t, "")
	var c *pan123.Client
	var u *pan123.Upload
	made := make(chan struct{})
	answers := make(chan map[string]error, 1)
	c = client(t, server, func(o *pan123.Options) {
		o.AccessToken = ""
		var once sync.Once
		o.Tokens = func(context.Context, string) (pan123.Token, error) {
			<-made
			// With no context that would end them, should they wait.
			ctx, small := context.Background(), []byte("x")
			once.Do(func() {
				said := map[string]error{}
				_, said["hash"] = pan123.Hash(ctx, pan123.Bytes(small), pan123.HashOptions{})
				said["close"] = c.Close()
				said["shutdown"] = c.Shutdown(ctx)
				_, said["token"] = c.Token(ctx)
				_, said["upload"] = c.Upload(ctx, bytes.NewReader(small), 1, 0, "inner")
				_, said["upload file"] = c.UploadFile(ctx, os.Args[0], 0, "inner")
				_, said["wait"] = u.Wait()
				for range u.Events() { // Ends as well.
				}
				answers <- said
			})
			return pan123.Token{Value: emulator.Token}, nil
		}
	})
	data := bytes.Repeat([]byte("x"), 5<<20)
	var err error
	u, err = c.Start(t.Context(), pan123.Bytes(data), 0, "film.mkv")
	check(t, err)
	close(made)
	for what, err := range <-answers {
		if !errors.Is(err, pan123.ErrWouldDeadlock) {
			t.Errorf("%s in a callback: %v", what, err)
		}
	}
	// Which has changed nothing.
	_, err = u.Wait()
	check(t, err)
	if server.Stored("inner") != nil || !bytes.Equal(server.Stored("film.mkv"), data) {
		t.Error("stored are other files")
	}
}

func panics(t *testing.T) {
	server := emulator.Start(t, "")
	reader := func([]byte, int64) (int, error) { panic(fmt.Errorf("page 7: %w", errMine)) }
	_, err := client(t, server, nil).Upload(t.Context(), readerFunc(reader), 5<<20, 0, "film.mkv")
	var panicked *pan123.PanicError
	if !errors.Is(err, errMine) || !errors.Is(err, pan123.ErrCallback) || !errors.As(err, &panicked) {
		t.Fatalf("the error is %v", err)
	}
	if !strings.Contains(string(panicked.Stack), "scenarios.panics.func1") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v\n%s", err, panicked.Stack)
	}
	c := client(t, server, func(o *pan123.Options) {
		o.AccessToken = ""
		o.Tokens = func(context.Context, string) (pan123.Token, error) { panic("out of cheese") }
	})
	if _, err := c.Token(t.Context()); !errors.As(err, &panicked) || panicked.Value != "out of cheese" {
		t.Errorf("the error is %v", err)
	}
}

func slowSource(t *testing.T) {
	server := emulator.Start(t, "")
	c := client(t, server, func(o *pan123.Options) { o.SourceTimeout = 50 * time.Millisecond })
	release := make(chan struct{})
	_, err := c.Upload(t.Context(), readerFunc(func(p []byte, _ int64) (int, error) {
		<-release
		return len(p), nil
	}), 5<<20, 0, "film.mkv")
	close(release)
	if !errors.Is(err, pan123.ErrSourceStalled) {
		t.Errorf("the error is %v", err)
	}
}
