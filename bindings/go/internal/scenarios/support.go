package scenarios

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"pan123"
	"pan123/internal/emulator"
)

const ownUserAgent = "own-transport/1"

// ownRoundTripper is HTTP done by the program.
type ownRoundTripper struct {
	next     *http.Transport
	requests atomic.Int32
}

func (r *ownRoundTripper) RoundTrip(request *http.Request) (*http.Response, error) {
	r.requests.Add(1)
	request = request.Clone(request.Context())
	request.Header.Set("User-Agent", ownUserAgent)
	return r.next.RoundTrip(request)
}

// counted is a source of the program's own.
type counted struct {
	*bytes.Reader
	reads atomic.Int64
}

func (c *counted) ReadAt(p []byte, offset int64) (int, error) {
	c.reads.Add(1)
	return c.Reader.ReadAt(p, offset)
}

// sample is a file of so many slices, the last of them 7 bytes short, with bytes that no other test has.
func sample(t testing.TB, count int) ([]byte, string) {
	t.Helper()
	data := make([]byte, count*emulator.SliceSize-7)
	seed := [32]byte{}
	copy(seed[:], t.Name())
	_, _ = rand.NewChaCha8(seed).Read(data)
	path := filepath.Join(t.TempDir(), "film.mkv")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return data, path
}

// client is one of the emulator's, closed when the test ends.
func client(t testing.TB, server *emulator.Emulator, change func(*pan123.Options)) *pan123.Client {
	t.Helper()
	options := pan123.Options{BaseURL: server.URL, AccessToken: emulator.Token, ProgressEvery: 20 * time.Millisecond}
	if change != nil {
		change(&options)
	}
	c, err := pan123.NewClient(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error("close:", err)
		}
	})
	return c
}

// until takes events up to the first for which it holds.
func until(t testing.TB, u *pan123.Upload, holds func(pan123.Event) bool) {
	t.Helper()
	for event := range u.Events() {
		if holds(event) {
			return
		}
	}
	_, err := u.Wait()
	t.Fatalf("the upload ended before: %v", err)
}

// stored checks that the service has the bytes, each slice sent once, and that the result says so.
func stored(t *testing.T, server *emulator.Emulator, name string, data []byte, result pan123.Result) {
	t.Helper()
	if !bytes.Equal(server.Stored(name), data) {
		t.Error("stored are other bytes")
	}
	sum := md5.Sum(data)
	count := (len(data) + emulator.SliceSize - 1) / emulator.SliceSize
	if result.ETag != hex.EncodeToString(sum[:]) || result.Size != int64(len(data)) || result.Slices != count ||
		result.Reused || result.FileID == 0 {
		t.Errorf("the result is %+v", result)
	}
	sent := server.Slices()
	for number := 1; number <= count; number++ {
		if sent[number] != 1 {
			t.Errorf("slice %d was sent %d times", number, sent[number])
		}
	}
	if len(sent) != count {
		t.Errorf("slices sent: %v", sent)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Variable is an environment variable that the tests need.
func Variable(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("set %s, or run `cargo xtask bindings`, which sets all that is needed", name)
	}
	return value
}
