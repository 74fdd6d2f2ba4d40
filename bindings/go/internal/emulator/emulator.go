// Package emulator runs the service on this machine, for tests: the program pan123 that PAN123_PROGRAM names.
package emulator

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// SliceSize is what the emulator announces.
const SliceSize = 1 << 20

// Token is what it takes.
const Token = "go-test-token-5a0c"

// Emulator is one that runs, until the test ends.
type Emulator struct {
	URL string
	dir string
	tb  testing.TB
}

// Request is a line of its log.
type Request struct {
	Endpoint  string
	SliceNo   int `json:"slice_no"`
	Attempt   int
	Status    int
	Code      int
	UserAgent string `json:"user_agent"`
	PeerPort  int    `json:"peer_port"`
}

// Start starts one with a script of faults, or "".
func Start(tb testing.TB, faults string) *Emulator {
	tb.Helper()
	e, stop, err := Launch(tb.TempDir(), faults)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(stop)
	e.tb = tb
	return e
}

// Launch starts one that keeps its files in dir, until stop is called.
func Launch(dir, faults string) (e *Emulator, stop func(), err error) {
	program := os.Getenv("PAN123_PROGRAM")
	if program == "" {
		return nil, nil, errors.New("set PAN123_PROGRAM to the program pan123, or run `cargo xtask bindings`, " +
			"which sets all that is needed")
	}
	args := []string{"serve", "--port", "0", "--token", Token, "--dir", dir, "--servers", "2", "--slice-size", "1048576"}
	if faults != "" {
		args = append(args, "--faults", faults)
	}
	command := exec.Command(program, args...)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := command.Start(); err != nil {
		return nil, nil, fmt.Errorf("the program that PAN123_PROGRAM names: %w", err)
	}
	stop = func() {
		_ = command.Process.Kill()
		_, _ = io.Copy(io.Discard, out)
		_ = command.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	if !ok {
		stop()
		return nil, nil, fmt.Errorf("the emulator said %q (%v)", line, err)
	}
	return &Emulator{URL: url, dir: dir}, stop, nil
}

// Stored is what is stored at a path of the drive; nil if there is no such file.
func (e *Emulator) Stored(path string) []byte {
	data, err := os.ReadFile(filepath.Join(e.dir, "files", filepath.FromSlash(path)))
	if err != nil && !os.IsNotExist(err) {
		e.tb.Error(err)
	}
	return data
}

// Requests are those to an endpoint so far, in the order in which they ended; "" for all.
func (e *Emulator) Requests(endpoint string) []Request {
	e.tb.Helper()
	var all, some []Request
	if err := json.Unmarshal(e.do("GET", "requests", ""), &all); err != nil {
		e.tb.Fatal(err)
	}
	for _, request := range all {
		// Those without an endpoint are questions like this one.
		if request.Endpoint != "" && (endpoint == "" || request.Endpoint == endpoint) {
			some = append(some, request)
		}
	}
	return some
}

// Slices are the numbers of the slices that were sent, as often as they were.
func (e *Emulator) Slices() map[int]int {
	numbers := map[int]int{}
	for _, request := range e.Requests("slice") {
		numbers[request.SliceNo]++
	}
	return numbers
}

// SetFaults puts another script into force.
func (e *Emulator) SetFaults(faults string) {
	e.tb.Helper()
	e.do("PUT", "faults", faults)
}

func (e *Emulator) do(method, what, body string) []byte {
	e.tb.Helper()
	request, err := http.NewRequest(method, e.URL+"/_emulator/"+what, bytes.NewBufferString(body))
	if err != nil {
		e.tb.Fatal(err)
	}
	// Its own, so that no connection stays behind.
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		e.tb.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode >= 300 {
		e.tb.Fatalf("%s %s: HTTP %d %s %v", method, what, answer.StatusCode, text, err)
	}
	return text
}
